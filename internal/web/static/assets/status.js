// The state of the connection as words.js has it: the pill at the top, the empty list and, where there is no stream, the
// reason. Only changes of state are in a live region; the seconds that count beside it are not read out.

import { byId } from "./dom.js";
import { closedProblem, words } from "./words.js";

export class Status {
  #state = byId("state");
  #detail = byId("state-detail");
  #problem = byId("problem");
  #again = byId("reconnect");
  #ticking = 0;

  constructor({ onReconnect }) {
    this.#again.addEventListener("click", () => {
      byId("scroller").focus({ preventScroll: true }); // the button goes away: its focus must not
      onReconnect();
    });
  }

  show(state) {
    const { label, detail, title, text, again } = words[state.name];
    clearInterval(this.#ticking);
    this.#state.dataset.state = state.name;
    byId("state-text").textContent = label;
    byId("empty-title").textContent = title;
    byId("empty-text").textContent = text;
    this.#again.textContent = again ?? "";
    const tick = () => {
      const said = detail?.(state, Date.now()) ?? "";
      if (said !== this.#detail.textContent) this.#detail.textContent = said;
    };
    tick();
    if (detail) this.#ticking = setInterval(tick, 250);
    const problem = state.name === "closed" ? closedProblem : state.problem;
    this.#problem.hidden = !again;
    this.#problem.dataset.status = problem?.status ?? "";
    byId("problem-title").textContent = problem?.title ?? "";
    byId("problem-detail").textContent = problem?.detail ?? "";
  }
}
