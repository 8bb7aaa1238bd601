// A Run publishes what a model says into a topic of its own, whatever happens to replicas and connections on the way.
import { setTimeout as sleep } from "node:timers/promises";

const pause = 200; // ms between two tries

export class Run {
  #gateway;
  #queue = []; // lines that are not acknowledged, oldest first
  #sent = false; // the oldest of them, over the open request: the next one waits for its answer, or it might overtake it
  #lines = 0; // in all
  #ended = false;
  #stop = new AbortController();
  #wake = () => {};
  #begin;
  #served;

  /** Begins a run. The topic is to be new: it ends with the run. */
  constructor(gateway, topic) {
    this.#gateway = gateway;
    this.topic = topic;
    /** Is resolved when the topic can be read. */
    this.begun = new Promise((resolve) => (this.#begin = resolve));
    this.#served = this.#serve();
  }

  /** Is aborted when somebody has stopped the run. */
  get signal() {
    return this.#stop.signal;
  }

  /** Publishes data, in order. By its key it may be sent again, over any replica, and is there once. */
  publish(data) {
    this.#queue.push(`${JSON.stringify({ topic: this.topic, data, key: `${this.#lines++}` })}\n`);
    this.#wake();
  }

  /** Publishes what is left, the last events, and the end of the topic, these in one step. */
  async end(...last) {
    this.#ended = true;
    this.#wake();
    await this.#served;
    const body = JSON.stringify(last.map((data) => ({ data })));
    for (;;) {
      const path = `${this.#gateway}/topics/${encodeURIComponent(this.topic)}/close`;
      const response = await fetch(path, { method: "POST", body }).catch(() => undefined);
      if (response?.ok) break;
      await sleep(pause);
    }
    this.#begin();
  }

  async #serve() {
    for (;;) {
      await this.#request().catch((error) => console.error("publishing again:", error.cause?.code ?? error.message));
      if (this.#ended && this.#queue.length === 0) return;
      await sleep(pause);
    }
  }

  // request is one long request: lines go out as they come, and each is answered by a line.
  async #request() {
    this.#sent = false;
    let open = true;
    const encoder = new TextEncoder();
    const body = new ReadableStream({
      pull: async (controller) => {
        while (open && (this.#sent || this.#queue.length === 0)) {
          if (this.#ended && this.#queue.length === 0) return controller.close();
          await new Promise((resolve) => (this.#wake = resolve));
        }
        if (!open) return;
        this.#sent = true;
        controller.enqueue(encoder.encode(this.#queue[0]));
      },
    });
    const headers = { "Content-Type": "application/x-ndjson" };
    try {
      const response = await fetch(`${this.#gateway}/publish`, { method: "POST", body, headers, duplex: "half" });
      if (!response.ok) throw new Error(await response.text());
      let rest = "";
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split("\n");
        rest = lines.pop();
        for (const line of lines) this.#answered(JSON.parse(line));
      }
    } finally {
      open = false;
      this.#wake();
    }
  }

  #answered(answer) {
    if (answer.stop || answer.type?.endsWith(":stopped")) this.#stop.abort();
    if (answer.stop) return; // which answers no line
    if (answer.status >= 500) throw new Error(answer.detail); // it is sent again
    this.#queue.shift();
    this.#sent = false;
    this.#begin();
    this.#wake();
  }
}
