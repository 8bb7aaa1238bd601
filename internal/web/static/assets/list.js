// The list of events: the last 500, newest at the end. Rows are gathered and put into the page together, and it rests
// longer than it worked, so that a flood of events leaves the page usable; what a full list would drop again is never
// rendered.

import { byId } from "./dom.js";
import { render } from "./rows.js";

const maxRows = 500;
const pace = 60; // ms between two updates of the page, at least
const calm = 20; // rows that may come at once and still be marked as fresh: a flood does not flicker

export class EventList {
  #scroller = byId("scroller");
  #list = byId("events");
  #more = byId("more");
  #pause = byId("pause");
  #count = byId("count");
  #held = byId("held");
  #waiting = []; // rows to come, the newest 500 of them
  #skipped = ""; // id of the newest event that fell out of them
  #timer = 0;
  #rest = pace; // ms until the next update
  #total = 0; // events since the list was last cleared
  #unseen = 0; // rows below what the reader looks at
  #following = true; // whether the reader is at the end and wants to stay there
  #away = 0; // events since the reader looked elsewhere
  #filter = byId("filter");
  #onDrop;
  #onUnseen;

  // onDrop is told the id of the newest event that is no longer to be seen, onUnseen how many the reader has not seen.
  constructor({ onDrop, onClear, onUnseen }) {
    this.#onDrop = onDrop;
    this.#onUnseen = onUnseen;
    this.#filter.addEventListener("change", () => this.#sift());
    document.addEventListener("visibilitychange", () => this.#back());
    addEventListener("focus", () => this.#back());
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#follow()).observe(this.#scroller);
    this.#more.addEventListener("click", () => this.#toEnd());
    this.#pause.addEventListener("click", () => this.#togglePause());
    byId("clear").addEventListener("click", () => {
      this.clear();
      onClear();
    });
  }

  add(row) {
    this.#waiting.push(row);
    if (row.kind === "event") {
      this.#total++;
      if (document.hidden) this.#onUnseen(++this.#away);
    }
    if (this.#waiting.length > maxRows) this.#skipped = this.#waiting.shift().id || this.#skipped;
    this.#timer ||= setTimeout(() => this.#flush(), this.#rest);
  }

  // offer has the filter offer the topics and the user of a subscription.
  offer({ topics, user }) {
    const chosen = this.#filter.value;
    const options = [new Option("All topics", ""), ...topics.map((topic) => new Option(topic, `t${topic}`))];
    if (user) options.push(new Option(`${user} (personal)`, `u${user}`));
    this.#filter.replaceChildren(...options);
    this.#filter.value = options.some((option) => option.value === chosen) ? chosen : "";
    this.#filter.hidden = options.length < 3;
    this.#sift();
  }

  #back() {
    if (document.hidden || !this.#away) return;
    this.#away = 0;
    this.#onUnseen(0);
  }

  #sift(rows = this.#list.children) {
    const wanted = this.#filter.value;
    for (const row of rows) {
      const target = row.dataset.user ? `u${row.dataset.user}` : `t${row.dataset.topic}`;
      row.hidden = wanted !== "" && wanted !== target;
    }
    this.#follow();
  }

  get #paused() {
    return this.#pause.getAttribute("aria-pressed") === "true";
  }

  #flush() {
    this.#timer = 0;
    this.#showCounts();
    if (this.#paused || !this.#waiting.length) return;
    const began = performance.now();
    const rows = this.#waiting.map(render);
    this.#waiting = [];
    for (const row of rows) row.classList.toggle("fresh", rows.length <= calm);
    this.#sift(rows);
    this.#list.append(...rows);
    this.#trim();
    if (!this.#following) this.#unseen = Math.min(this.#unseen + rows.length, maxRows);
    this.#follow();
    this.#showCounts();
    this.#rest = Math.max(pace, 2 * (performance.now() - began));
  }

  // trim drops the oldest rows. What fell out of the waiting ones is newer than all that it drops.
  #trim() {
    let dropped = "";
    for (let extra = this.#list.childElementCount - maxRows; extra > 0; extra--) {
      const oldest = this.#list.firstElementChild;
      dropped = oldest.dataset.id || dropped;
      if (oldest.contains(document.activeElement)) this.#scroller.focus({ preventScroll: true });
      oldest.remove();
    }
    if (this.#skipped || dropped) this.#onDrop(this.#skipped || dropped);
    this.#skipped = "";
  }

  #togglePause() {
    const paused = !this.#paused;
    this.#pause.setAttribute("aria-pressed", String(paused));
    this.#pause.textContent = paused ? "Go on" : "Pause";
    this.#flush();
  }

  clear() {
    this.#waiting = [];
    this.#skipped = "";
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
    const total = this.#total.toLocaleString();
    this.#count.textContent = this.#total > maxRows ? `${total}, last ${maxRows} shown` : total;
    this.#held.hidden = !this.#paused;
    this.#held.textContent = `${this.#waiting.length} held back`;
    this.#more.hidden = this.#unseen === 0;
    this.#more.textContent = `${this.#unseen} new`;
  }
}
