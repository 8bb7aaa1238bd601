// Where a first visit starts: one of four, or what the address says.

import { byId, make } from "./dom.js";

const usual = { now: "now", "10m": "10 min", "last:50": "last 50", all: "everything" };

export class Since {
  #list = byId("since");
  #onChoose;

  constructor({ onChoose }) {
    this.#onChoose = onChoose;
  }

  show(chosen) {
    const from = chosen === "0" ? "all" : chosen || "now";
    const choices = from in usual ? usual : { ...usual, [from]: from };
    const held = this.#list.contains(document.activeElement);
    this.#list.replaceChildren(...Object.entries(choices).map(([value, text]) => this.#choice(value, text, value === from)));
    if (held) this.#list.querySelector("[aria-pressed=true]").focus();
  }

  #choice(value, text, chosen) {
    const button = make("button", "chip choice", make("bdi", "", text));
    button.type = "button";
    button.dataset.since = value;
    button.dataset.hue = chosen ? "me" : "none";
    button.setAttribute("aria-pressed", String(chosen));
    button.addEventListener("click", () => this.#onChoose(value === "now" ? "" : value));
    return make("li", "", button);
  }
}
