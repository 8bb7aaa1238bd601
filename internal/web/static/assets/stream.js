// One subscription, as the browser's own EventSource carries it: the page never reconnects by itself. It only closes a
// stream and opens another when the subscription changes, and then goes on after the last id, so that nothing is lost.

import { reserved } from "./address.js";
import { explainEnd } from "./problem.js";

// The gateway sends `retry: 3s ± 50 %` unless it is configured otherwise, and EventSource keeps the value to itself.
const usualWait = 3000;

// How long it takes at most until a page that is being left is gone.
const leaveTime = 200;

const always = ["message", ...reserved.filter((type) => type !== "open" && type !== "error")];

export class Stream {
  #source = null;
  #lastID = "";
  #makeURL = null;
  #types = []; // what is heard besides message and the gateway's own
  #onState;
  #onEvent;
  #brokenAt = 0; // when the outage began that is going on; 0: none
  #triedAt = 0; // when EventSource began to wait for its next try
  #wait = usualWait; // how long it was seen to wait between two tries

  // onState gets {name, ...} with name connecting, live, reconnecting or ended; onEvent gets every MessageEvent.
  constructor({ onState, onEvent }) {
    this.#onState = onState;
    this.#onEvent = onEvent;
  }

  // lastID is the last id that an event brought.
  get lastID() {
    return this.#lastID;
  }

  // open subscribes at makeURL(id) in the place of what was subscribed to before. resume is the id to go on after.
  open(makeURL, resume) {
    this.close();
    this.#makeURL = makeURL;
    this.#lastID = resume;
    this.#brokenAt = 0;
    const source = new EventSource(makeURL(resume));
    this.#source = source;
    source.addEventListener("open", () => this.#measure());
    source.addEventListener("error", () => this.#broken(source));
    for (const type of [...always, ...this.#types]) source.addEventListener(type, this.#hear);
    this.#onState({ name: "connecting", since: Date.now() });
  }

  close() {
    this.#source?.close();
    this.#source = null;
  }

  // listen sets the types of events that are heard, on the open stream as well: EventSource drops the others.
  listen(types) {
    const source = this.#source;
    for (const type of this.#types) source?.removeEventListener(type, this.#hear);
    for (const type of types) source?.addEventListener(type, this.#hear);
    this.#types = types;
  }

  // hear is one function for all types and streams, so that no type can be heard twice.
  #hear = (event) => {
    if (event.target !== this.#source) return;
    if (event.lastEventId) this.#lastID = event.lastEventId;
    // Not at `open`: a gateway that cannot serve answers 200 and ends the stream, so that EventSource comes back.
    if (event.type === "ready") this.#live();
    this.#onEvent(event);
  };

  #live() {
    const outage = this.#brokenAt ? Date.now() - this.#brokenAt : 0;
    this.#brokenAt = 0;
    this.#onState({ name: "live", since: Date.now(), outage });
  }

  #broken(source) {
    if (source !== this.#source) return;
    this.#measure();
    const now = Date.now();
    if (source.readyState === EventSource.CLOSED) {
      this.#end();
      return;
    }
    this.#brokenAt ||= now;
    this.#triedAt = now;
    this.#onState({ name: "reconnecting", since: this.#brokenAt, expected: now + this.#wait });
  }

  // measure learns from the try that has just succeeded or failed how long EventSource waits.
  #measure() {
    if (this.#triedAt) this.#wait = Math.min(Math.max(Date.now() - this.#triedAt, 200), 60_000);
    this.#triedAt = 0;
  }

  async #end() {
    const source = this.#source;
    this.#onState({ name: "ended" });
    // A page that is being left ends its stream as well, and must not ask: the answer may be a stream, which takes the
    // place of the next page's. Its timers do not come any more.
    await new Promise((resolve) => setTimeout(resolve, leaveTime));
    if (source !== this.#source) return;
    const problem = await explainEnd(this.#makeURL(this.#lastID));
    if (source === this.#source) this.#onState({ name: "ended", problem });
  }
}
