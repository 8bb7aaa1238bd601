// The list of events: the last 500, newest at the end. Rows are gathered and put into the page a few times a second at
// most, so that a flood of events costs a bounded amount of work; what a full list would drop again is never rendered.

import { byId } from "./dom.js";
import { render } from "./rows.js";

const maxRows = 500;
const pace = 60; // ms between two updates of the page

export class EventList {
  #scroller = byId("scroller");
  #list = byId("events");
  #more = byId("more");
  #pause = byId("pause");
  #count = byId("count");
  #held = byId("held");
  #waiting = []; // rows to come, the newest 500 of them
  #timer = 0;
  #total = 0; // events since the list was last cleared
  #unseen = 0; // rows below what the reader looks at
  #following = true; // whether the reader is at the end and wants to stay there
  #onDrop;

  // onDrop is told the id of the newest event that is no longer to be seen.
  constructor({ onDrop, onClear }) {
    this.#onDrop = onDrop;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#follow()).observe(this.#scroller);
    this.#more.addEventListener("click", () => this.#toEnd());
    this.#pause.addEventListener("click", () => this.#togglePause());
    byId("clear").addEventListener("click", () => {
      this.#clear();
      onClear();
    });
  }

  add(row) {
    this.#waiting.push(row);
    if (row.kind === "event") this.#total++;
    if (this.#waiting.length > maxRows) this.#drop(this.#waiting.shift().id);
    this.#timer ||= setTimeout(() => this.#flush(), pace);
  }

  get #paused() {
    return this.#pause.getAttribute("aria-pressed") === "true";
  }

  #flush() {
    this.#timer = 0;
    this.#showCounts();
    if (this.#paused || !this.#waiting.length) return;
    const rows = this.#waiting.map(render);
    this.#waiting = [];
    this.#list.append(...rows);
    let dropped = "";
    for (let extra = this.#list.childElementCount - maxRows; extra > 0; extra--) {
      dropped = this.#list.firstElementChild.dataset.id || dropped;
      this.#list.firstElementChild.remove();
    }
    this.#drop(dropped);
    if (!this.#following) this.#unseen = Math.min(this.#unseen + rows.length, maxRows);
    this.#follow();
    this.#showCounts();
  }

  #drop(id) {
    if (id) this.#onDrop(id);
  }

  #togglePause() {
    const paused = !this.#paused;
    this.#pause.setAttribute("aria-pressed", String(paused));
    this.#pause.textContent = paused ? "Go on" : "Pause";
    this.#flush();
  }

  #clear() {
    this.#waiting = [];
    this.#total = 0;
    this.#unseen = 0;
    this.#following = true;
    this.#list.replaceChildren();
    this.#showCounts();
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < 32;
    if (this.#following) this.#unseen = 0;
    this.#showCounts();
  }

  #toEnd() {
    this.#following = true;
    this.#follow();
    this.#scroller.focus({ preventScroll: true }); // the button goes away: its focus must not
  }

  #follow() {
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #showCounts() {
    this.#count.textContent = this.#total.toLocaleString();
    this.#held.hidden = !this.#paused;
    this.#held.textContent = `${this.#waiting.length} held back`;
    this.#more.hidden = this.#unseen === 0;
    this.#more.textContent = `${this.#unseen} new`;
  }
}
