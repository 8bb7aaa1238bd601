// The state of the connection in words: the pill at the top and, once a stream has ended, the reason. Only changes of
// state are in a live region; the seconds that count down next to it are not read out.

import { byId } from "./dom.js";

const words = { idle: "Idle", connecting: "Connecting", live: "Live", reconnecting: "Reconnecting", ended: "Ended" };

export class Status {
  #state = byId("state");
  #text = byId("state-text");
  #detail = byId("state-detail");
  #problem = byId("problem");
  #ticking = 0;

  constructor({ onReconnect }) {
    byId("reconnect").addEventListener("click", onReconnect);
  }

  show(state) {
    clearInterval(this.#ticking);
    this.#state.dataset.state = state.name;
    this.#text.textContent = words[state.name];
    this.#tick(state);
    if (state.name === "connecting" || state.name === "reconnecting") {
      this.#ticking = setInterval(() => this.#tick(state), 250);
    }
    this.#explain(state.name === "ended" ? state.problem : null);
  }

  #tick(state) {
    const text = detailOf(state, Date.now());
    if (text !== this.#detail.textContent) this.#detail.textContent = text;
  }

  #explain(problem) {
    this.#problem.hidden = !problem;
    this.#problem.dataset.status = problem?.status ?? "";
    byId("problem-title").textContent = problem?.title ?? "";
    byId("problem-detail").textContent = problem?.detail ?? "";
  }
}

function detailOf(state, now) {
  switch (state.name) {
    case "live":
      return "since " + new Date(state.since).toLocaleTimeString();
    case "connecting":
      // Over HTTP/1.1 a browser has six connections per host, for all its tabs: the seventh stream waits for ever.
      return now - state.since > 6000 ? "waiting – are more than six tabs open?" : "";
    case "reconnecting": {
      const left = Math.ceil((state.expected - now) / 1000);
      const away = Math.round((now - state.since) / 1000);
      return left > 0 ? `in ≈ ${left} s` : `now – away for ${away} s`;
    }
  }
  return "";
}
