// The token. EventSource cannot send a header, so the stream carries it in its query and publishing in a header; it is
// kept for this tab only and never becomes part of the page's address, which gets shared and logged.

import { byId, forTab } from "./dom.js";

export class Access {
  #field = byId("token");
  #summary = byId("access-summary");
  #token = forTab.get("token");

  constructor({ onChange }) {
    const change = (token) => {
      this.#token = token;
      this.#field.value = "";
      forTab.set("token", token);
      this.#show();
      onChange();
    };
    byId("access-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const token = this.#field.value.trim();
      if (token) change(token);
    });
    byId("forget").addEventListener("click", () => change(""));
    this.#show();
  }

  get token() {
    return this.#token;
  }

  // ask opens the section: the gateway wants a token.
  ask() {
    byId("access").open = true;
  }

  #show() {
    this.#summary.textContent = this.#token ? describe(this.#token) : "no token";
    byId("forget").hidden = !this.#token;
  }
}

// describe reads what a token says of itself. Only the gateway can tell whether it is true.
function describe(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes));
    const until = typeof exp === "number" ? ` until ${new Date(exp * 1000).toLocaleTimeString()}` : "";
    return `as ${typeof sub === "string" ? sub : "nobody"}${until}`;
  } catch {
    return "with a token";
  }
}
