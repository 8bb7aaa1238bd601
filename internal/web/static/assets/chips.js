// A group of chips: names with a button each to remove them, and an input that adds more. A name that cannot be one is
// refused by itself, and stays in the input.

import { byId, hue, make } from "./dom.js";
import { faultOf, splitNames } from "./address.js";

export class Chips {
  #kind;
  #group;
  #list;
  #input;
  #onRemove;
  #closed = new Set();

  // kind is user or topic; onAdd gets the names that were typed, onRemove one name. Both are followed by show.
  constructor(kind, { onAdd, onRemove }) {
    this.#kind = kind;
    this.#group = byId(`group-${kind}`);
    this.#list = this.#group.querySelector("ul");
    this.#input = byId(`add-${kind}`);
    this.#onRemove = onRemove;
    this.#input.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const names = kind === "user" ? [this.#input.value.trim()].filter(Boolean) : splitNames(this.#input.value);
      const good = names.filter((name) => !faultOf(name, kind));
      const bad = names.filter((name) => faultOf(name, kind));
      this.#input.value = bad.join(", ");
      this.#say(bad.map((name) => faultOf(name, kind)).join("; "));
      if (good.length) onAdd(good);
    });
    this.#input.addEventListener("input", () => this.#say(""));
  }

  #say(fault) {
    byId("chip-fault").textContent = fault && `${fault}.`;
    this.#input.setAttribute("aria-invalid", String(Boolean(fault)));
  }

  // show puts the chips on the page.
  show(names) {
    const held = this.#group.contains(document.activeElement);
    this.#list.replaceChildren(...names.map((name) => this.#chip(name)));
    this.#group.dataset.count = names.length;
    // A user's input goes away once there is one.
    if (held && !document.activeElement?.checkVisibility()) this.#list.querySelector("button")?.focus();
  }

  // close shows from now on that a topic is closed.
  close(name) {
    this.#closed.add(name);
    for (const chip of this.#list.children) chip.classList.toggle("closed", this.#closed.has(chip.dataset[this.#kind]));
  }

  #chip(name) {
    const chip = make("li", this.#closed.has(name) ? "chip closed" : "chip", make("bdi", "", name));
    chip.dataset[this.#kind] = name;
    chip.dataset.hue = this.#kind === "topic" ? hue(name) : "me";
    const button = make("button", "", "×");
    button.type = "button";
    button.setAttribute("aria-label", `Remove ${this.#kind} ${name}`);
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
