// The token. It goes in a header, is kept for this tab only, and never becomes part of the page's address, which gets shared
// and logged.

import { byId, forTab } from "./dom.js";

export class Access {
  #field = byId("token");
  #summary = byId("access-summary");
  #token = forTab.get("token");
  #turning = 0;

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
    byId("forget").addEventListener("click", () => {
      this.#field.focus(); // the button goes away: its focus must not
      change("");
    });
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
    clearTimeout(this.#turning);
    const left = expiryOf(this.#token) - Date.now();
    if (left > 0 && left < 2 ** 31) this.#turning = setTimeout(() => this.#show(), left + 100); // what was valid no longer is
    this.#summary.textContent = this.#token ? describe(this.#token) : "no token";
    byId("forget").hidden = !this.#token;
  }
}

// describe tells what a token says of itself. Only the gateway knows whether it is true.
function describe(token) {
  const { sub } = claimsOf(token) ?? {};
  if (!claimsOf(token)) return "with a token";
  const expiry = expiryOf(token);
  const who = `as ${typeof sub === "string" ? sub : "nobody"}`;
  if (!expiry) return who;
  const at = new Date(expiry);
  const when = at.toDateString() === new Date().toDateString() ? at.toLocaleTimeString() : at.toLocaleString();
  return expiry > Date.now() ? `${who} until ${when}` : `expired: ${who} until ${when}`;
}

// expiryOf is when a token expires, in ms since 1970; 0 if it does not say.
function expiryOf(token) {
  const exp = claimsOf(token)?.exp;
  return typeof exp === "number" ? exp * 1000 : 0;
}

function claimsOf(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
