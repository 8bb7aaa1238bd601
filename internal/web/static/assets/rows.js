// From an event to a row of the list: first what it says (describe), then, if it is still to be shown, its elements
// (render). Whatever came over the network ends in a text node or in a data attribute.

import { copy, hue, make } from "./dom.js";
import { memberText, showJSON } from "./json.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const fold = 24; // lines of JSON that are shown at once

// describe reads an event of gateway.js: {kind, type, id, time, topic, user, from, text, json} – text is what to show, json
// whether it is JSON rather than plain text. A note's text is a list: names in it are {name}, so that they stay by themselves.
export function describe(event) {
  const row = { kind: "event", type: event.type, id: event.id, time: timeOf(event.id) };
  row.topic = text(event.topic);
  row.user = text(event.user);
  row.from = text(event.from);
  switch (event.type) {
    case "gap":
      return { ...row, kind: "note", text: gapText(row, event) };
    case "close":
      return { ...row, kind: "note", text: [nameOf(row), " is closed: nothing more will come."] };
    case "expiring":
      return { ...row, kind: "note", id: "", time: Date.now(), text: [expiryText(event)] };
  }
  if (!("data" in event)) return { ...row, text: event.text, json: false };
  const plain = typeof event.data === "string";
  return { ...row, text: plain ? event.data : (memberText(event.text, "data") ?? event.text), json: !plain };
}

// resumed is the note that follows an outage. What was missed comes after it, and a gap if something cannot.
export function resumed(outage) {
  const seconds = Math.max(1, Math.round(outage / 1000));
  return { kind: "note", type: "ready", id: "", time: Date.now(), topic: "", text: [`Back after ${seconds} s.`] };
}

export function render(row) {
  const item = make("li", "row");
  Object.assign(item.dataset, { kind: row.kind, type: row.type, id: row.id, topic: row.topic });
  if (row.user) item.dataset.user = row.user;
  item.append(timeElement(row.time));
  if (row.kind === "note") {
    item.append(make("p", "note data", ...row.text.map((part) => part.name ? make("bdi", "", part.name) : part)));
  } else {
    item.append(labels(row), dataElement(row));
  }
  const foot = make("span", "foot");
  if (row.id) foot.append(make("span", "id", row.id));
  if (row.kind === "event") foot.append(copyButton(row));
  item.append(foot);
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

function copyButton(row) {
  const button = make("button", "copy", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", "Copy the data of this event");
  button.addEventListener("click", () => copy(button, row.text));
  return button;
}

function dataElement(row) {
  const box = make("div", row.json ? "data json" : "data");
  box.dir = row.json ? "ltr" : "auto"; // a text is aligned by its own direction
  if (row.json) showJSON(box, row.text);
  else box.append(row.text);
  const lines = row.json ? box.textContent.split("\n").length : 0;
  if (lines > fold) return folded(box, lines);
  if (row.text.length > 1500) scrolls(box);
  return box;
}

// folded shows the first lines, and the others when they are asked for.
function folded(box, lines) {
  box.classList.add("folded");
  const button = make("button", "unfold", `Show all ${lines.toLocaleString()} lines`);
  button.type = "button";
  button.addEventListener("click", () => {
    const open = !box.classList.toggle("folded");
    button.textContent = open ? `Show the first ${fold} lines` : `Show all ${lines.toLocaleString()} lines`;
  });
  return make("div", "foldable", box, button);
}

// scrolls makes a box that scrolls by itself reachable by the keyboard.
function scrolls(box) {
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Data of the event");
}

function timeElement(ms) {
  const date = new Date(ms);
  const element = make("time", "time", clock.format(date));
  element.dateTime = date.toISOString();
  element.title = calendar.format(date);
  return element;
}

function gapText(row, { after, oldest }) {
  const from = text(after) ? ` may be missing after ${text(after)}` : " may be missing";
  const kept = text(oldest) ? `; the oldest kept is ${text(oldest)}.` : "; nothing is kept.";
  return ["Events of ", nameOf(row), from + kept];
}

function expiryText({ expires }) {
  const at = new Date(text(expires));
  const when = Number.isNaN(at.getTime()) ? "soon" : `at ${clock.format(at)}`;
  return `Your access ends ${when}: enter a new token to stay connected.`;
}

function nameOf({ topic, user }) {
  return { name: user ? `${user} (personal)` : topic || "this stream" };
}

// timeOf reads the time out of an id, <ms>-<seq>. A cursor over several partitions has another form: then it is the
// time of arrival.
function timeOf(id) {
  const ms = Number(/^(\d{12,14})-\d+$/.exec(id)?.[1]);
  return ms || Date.now();
}

function text(value) {
  return typeof value === "string" ? value : "";
}
