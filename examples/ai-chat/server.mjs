// The back end: it keeps the chats, lets the model answer, and sends readers to the gateway.
//
//   GATEWAY   the gateway, or the balancer before its replicas, as the back end and the page reach it
//   TOKENS    of an answer
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { answer } from "./model.mjs";
import { Run } from "./run.mjs";

const gateway = process.env.GATEWAY ?? "http://localhost:8000";
const tokens = Number(process.env.TOKENS ?? 500);
const [host, port] = (process.env.ADDR ?? "127.0.0.1:3000").split(":");

const chats = new Map(); // by id

function chatOf(id) {
  if (!chats.has(id)) chats.set(id, { messages: [], runs: 0, run: undefined });
  return chats.get(id);
}

// In the place of resumable-stream's createNewResumableStream: the run is there for whoever asks, from its first token.
function begin(id, chat, messages) {
  chat.messages = messages;
  const run = new Run(gateway, `chat.${id}.${++chat.runs}`);
  chat.run = run;
  const prompt = messages.at(-1).parts.map((part) => part.text ?? "").join("");
  const message = { id: `${run.topic}.answer`, role: "assistant", parts: [{ type: "text", text: "" }] };
  (async () => {
    run.publish({ type: "start", messageId: message.id });
    run.publish({ type: "text-start", id: "0" });
    for await (const delta of answer(prompt, tokens, run.signal)) {
      run.publish({ type: "text-delta", id: "0", delta });
    }
    await run.end({ type: "text-end", id: "0" }, { type: run.signal.aborted ? "abort" : "finish" }, "[DONE]");
    message.parts[0].text = await textOf(run.topic);
    chat.messages = [...chat.messages, message];
    chat.run = undefined;
  })();
}

// What the readers have got: of a stopped run, less than the model has said.
async function textOf(topic) {
  let text = "";
  for (let after = "0", more = true; more; ) {
    const response = await fetch(`${gateway}/topics/${encodeURIComponent(topic)}/events?limit=1000&after=${after}`).catch(() => undefined);
    if (!response?.ok) {
      await sleep(200);
      continue;
    }
    const page = await response.json();
    for (const { data } of page.events) if (data?.type === "text-delta") text += data.delta;
    ({ next: after, more } = page);
  }
  return text;
}

// In the place of resumable-stream's resumeExistingStream: the reader reads from the gateway, the whole run from its start.
async function follow(response, run) {
  await run.begun;
  const query = new URLSearchParams({ topic: run.topic, since: "all", raw: "1", control: "0" });
  response.writeHead(303, { Location: `${gateway}/subscribe?${query}` }).end();
}

async function bodyOf(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk;
  return JSON.parse(text);
}

const files = { "/": ["index.html", "text/html"], "/page.js": ["page.js", "text/javascript"] };

async function serve(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  const [, id, action] = pathname.match(/^\/api\/chat\/([\w-]+)(?:\/(stream|stop))?$/) ?? [];
  const chat = id && chatOf(id);
  switch (`${request.method} ${id ? action ?? "chat" : pathname}`) {
    case "POST /api/chat": {
      const { id, messages } = await bodyOf(request);
      const chat = chatOf(id);
      if (!chat.run) begin(id, chat, messages);
      return follow(response, chat.run);
    }
    case "GET stream":
      return chat.run ? follow(response, chat.run) : response.writeHead(204).end();
    case "POST stop": {
      const path = chat.run && `${gateway}/topics/${encodeURIComponent(chat.run.topic)}/stop`;
      return response.writeHead(!path || (await fetch(path, { method: "POST" })).ok ? 204 : 503).end();
    }
    case "GET chat":
      return response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(chat.messages));
    default: {
      const file = request.method === "GET" && files[pathname];
      if (!file) return response.writeHead(404).end();
      response.writeHead(200, { "Content-Type": `${file[1]}; charset=utf-8` });
      return createReadStream(new URL(file[0], import.meta.url)).pipe(response);
    }
  }
}

createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(500);
    response.end();
  });
}).listen(Number(port), host, () => console.log(`http://${host}:${port}/`));
