// Reads one run many times with a client as it is on npm. Each reader's first stream is cut at a seeded place; whenever a
// stream ends before the run does, its reader comes back. The last line of the output says what they have got.
import { Stream as Anthropic } from "@anthropic-ai/sdk/streaming";
import { Client as LangGraph } from "@langchain/langgraph-sdk";
import { DefaultChatTransport, readUIMessageStream } from "ai";
import { Stream as OpenAI } from "openai/streaming";
import { setTimeout as sleep } from "node:timers/promises";

const { kind, url, readers, seed, bytes } = JSON.parse(process.argv[2]);

// Each client reads a run with a fetch, calls take with the text so far, and returns when the run is over.
const clients = {
  async useChat(fetch, take) {
    const transport = new DefaultChatTransport({ prepareReconnectToStreamRequest: () => ({ api: url }), fetch });
    const stream = await transport.reconnectToStream({ chatId: "chat" });
    if (stream === null) throw new Error("204");
    let failure;
    const messages = readUIMessageStream({ stream, terminateOnError: true, onError: (error) => (failure = error) });
    for await (const message of messages) take(message.parts.map((part) => part.text ?? "").join(""));
    if (failure) throw failure;
  },
  async openai(fetch, take) {
    const controller = new AbortController();
    let text = "";
    for await (const chunk of OpenAI.fromSSEResponse(await fetched(fetch), controller)) {
      text += chunk.choices[0].delta.content ?? "";
      take(text);
    }
  },
  async anthropic(fetch, take) {
    const controller = new AbortController();
    let text = "";
    for await (const event of Anthropic.fromSSEResponse(await fetched(fetch), controller)) {
      if (event.type === "content_block_delta") text += event.delta.text;
      take(text);
    }
  },
  async langgraph(fetch, take) {
    const client = new LangGraph({ apiUrl: "http://run", apiKey: null, callerOptions: { maxRetries: 0, fetch: (_, init) => fetch(url, init) } });
    let text = "";
    for await (const { event, data } of client.runs.joinStream(null, "run", { lastEventId: "-1" })) {
      if (event === "messages") text += data[0].content;
      take(text);
    }
  },
};

async function fetched(fetch) {
  const response = await fetch(url);
  if (!response.ok) throw Object.assign(new Error(await response.text()), { statusCode: response.status });
  return response;
}

// A fetch of which one body, the first that is so long, breaks off after so many bytes.
function cutting(after) {
  return async (...request) => {
    const response = await fetch(...request);
    if (after === undefined || !response.ok || !response.body) return response;
    let left = after;
    const cut = new TransformStream({
      transform(chunk, controller) {
        if (left > 0) controller.enqueue(chunk.subarray(0, left));
        left -= chunk.length;
        if (left > 0) return;
        cuts++;
        after = undefined;
        controller.error(new TypeError("cut"));
      },
    });
    return new Response(response.body.pipeThrough(cut), response);
  };
}

let state = seed;
function random(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

let cuts = 0;
const texts = new Map();
const failures = new Map();
const count = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);

async function read(after) {
  const fetch = cutting(after);
  for (;;) {
    let text = "";
    try {
      await clients[kind](fetch, (now) => (text = now));
      return count(texts, text);
    } catch (error) {
      const cause = error.statusCode ?? error.status ?? error.message;
      count(failures, `${cause}`);
      if (cause === 410) return;
      await sleep(100 + random(200));
    }
  }
}

await Promise.all(Array.from({ length: readers }, () => read(1 + random(bytes))));
console.log(JSON.stringify({ cuts, texts: Object.fromEntries(texts), failures: Object.fromEntries(failures) }));
process.exit(0);
