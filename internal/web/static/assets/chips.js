// A group of chips: names with a button each to remove them, and an input that adds more.

import { byId, hue, make } from "./dom.js";
import { splitNames } from "./address.js";

export class Chips {
  #kind;
  #group;
  #list;
  #input;
  #onRemove;
  #closed = new Set();

  // kind is user, topic or event; onAdd gets the names that were typed, onRemove one name. Both are followed by show.
  constructor(kind, { onAdd, onRemove }) {
    this.#kind = kind;
    this.#group = byId(`group-${kind}`);
    this.#list = this.#group.querySelector("ul");
    this.#input = byId(`add-${kind}`);
    this.#onRemove = onRemove;
    this.#input.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const names = splitNames(this.#input.value);
      this.#input.value = "";
      if (names.length) onAdd(names);
    });
  }

  // show puts the chips on the page. Names in `fixed` cannot be removed.
  show(names, fixed = []) {
    this.#list.replaceChildren(...fixed.map((name) => this.#chip(name, true)), ...names.map((name) => this.#chip(name)));
    this.#group.dataset.count = names.length;
  }

  // close shows from now on that a topic is closed.
  close(name) {
    this.#closed.add(name);
    for (const chip of this.#list.children) chip.classList.toggle("closed", this.#closed.has(chip.dataset[this.#kind]));
  }

  #chip(name, fixed = false) {
    const chip = make("li", this.#closed.has(name) ? "chip closed" : "chip", make("bdi", "", name));
    chip.dataset[this.#kind] = name;
    chip.dataset.hue = this.#kind === "topic" ? hue(name) : "me";
    if (this.#kind === "event") chip.dataset.hue = "none";
    if (fixed) return chip;
    const button = make("button", "", "×");
    button.type = "button";
    button.setAttribute("aria-label", `Remove ${this.#kind === "event" ? "event type" : this.#kind} ${name}`);
    button.addEventListener("click", () => {
      const at = [...this.#list.children].indexOf(chip);
      this.#onRemove(name);
      // The focused button has gone: stay in the place where it was.
      (this.#list.children[at]?.querySelector("button") ?? this.#input).focus();
    });
    chip.append(button);
    return chip;
  }
}
