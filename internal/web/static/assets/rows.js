// From a MessageEvent to a row of the list: first what it says (describe), then, if it is still to be shown, its
// elements (render). Whatever came over the network ends in a text node or in a data attribute.

import { hue, make } from "./dom.js";
import { memberText, showJSON } from "./json.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

// describe reads an event: {kind, type, id, time, topic, user, from, text, json} – text is what to show, json whether
// it is JSON rather than plain text.
export function describe(event) {
  const row = { kind: "event", type: event.type, id: event.lastEventId, time: timeOf(event.lastEventId) };
  const envelope = parseObject(event.data);
  if (!envelope) return { ...row, topic: "", text: event.data, json: false };
  row.topic = text(envelope.topic);
  row.user = text(envelope.user);
  row.from = text(envelope.from);
  switch (event.type) {
    case "gap":
      return { ...row, kind: "note", text: gapText(row, envelope) };
    case "close":
      return { ...row, kind: "note", text: `${nameOf(row)} is closed: nothing more will come.` };
    case "expiring":
      // It has no id of its own: EventSource repeats the last one.
      return { ...row, kind: "note", id: "", time: Date.now(), text: expiryText(envelope) };
  }
  const data = memberText(event.data, "data") ?? event.data;
  const plain = typeof envelope.data === "string";
  return { ...row, text: plain ? envelope.data : data, json: !plain };
}

// resumed is the note that follows an outage. It has no id: that one belongs to the last event before.
export function resumed(outage) {
  const seconds = Math.max(1, Math.round(outage / 1000));
  return { kind: "note", type: "ready", id: "", time: Date.now(), topic: "", text: `Back after ${seconds} s, right where it stopped.` };
}

export function render(row) {
  const item = make("li", "row");
  Object.assign(item.dataset, { kind: row.kind, type: row.type, id: row.id, topic: row.topic });
  if (row.user) item.dataset.user = row.user;
  item.append(timeElement(row.time));
  if (row.kind === "note") {
    item.append(make("p", "note data", row.text));
  } else {
    item.append(labels(row), dataElement(row));
  }
  if (row.id) item.append(make("span", "id", row.id));
  return item;
}

function labels(row) {
  const name = make("span", "topic", row.user || row.topic || "–");
  name.dataset.hue = row.user ? "me" : hue(row.topic);
  name.title = row.user ? `personal event of ${row.user}` : row.topic;
  const box = make("div", "labels", name);
  if (row.type !== "message") box.append(make("span", "type", row.type));
  if (row.from) box.append(make("span", "from", "from ", make("bdi", "", row.from)));
  return box;
}

function dataElement(row) {
  const box = make("div", row.json ? "data json" : "data");
  if (row.json) showJSON(box, row.text);
  else box.append(row.text);
  if (row.text.length > 1500) {
    box.tabIndex = 0; // it scrolls by itself: so it must be within reach of the keyboard
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Data of the event");
  }
  return box;
}

function timeElement(ms) {
  const date = new Date(ms);
  const element = make("time", "time", clock.format(date));
  element.dateTime = date.toISOString();
  element.title = calendar.format(date);
  return element;
}

function gapText(row, { after, oldest }) {
  const kept = text(oldest) ? `the oldest kept is ${text(oldest)}.` : "nothing older is kept.";
  return `Events of ${nameOf(row)} may be missing after ${text(after) || "the last one seen"}; ${kept}`;
}

function expiryText({ expires }) {
  const at = new Date(text(expires));
  const when = Number.isNaN(at.getTime()) ? "soon" : `at ${clock.format(at)}`;
  return `Your access ends ${when}: enter a new token to stay connected.`;
}

function nameOf({ topic, user }) {
  return user ? `${user}, personally,` : topic || "this stream";
}

// timeOf reads the time out of an id, <ms>-<seq>. A cursor over several partitions has another form: then it is the
// time of arrival.
function timeOf(id) {
  const ms = Number(/^(\d{12,14})-\d+$/.exec(id)?.[1]);
  return ms || Date.now();
}

function parseObject(data) {
  try {
    const value = JSON.parse(data);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function text(value) {
  return typeof value === "string" ? value : "";
}
