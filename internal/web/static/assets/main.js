// The page: what it subscribes to is in its address, what it has shown is a window on the stream.
//
// A window begins at an id – where the first stream began – and its end is now. It moves on as rows are dropped or
// cleared, and its beginning is kept for the tab: a reload opens the stream right after it, so the gateway's history
// shows the same window again, with whatever came meanwhile, each event once and in order. (Resuming after the last
// event instead would lose nothing either, but leave the reader with an empty list.) Should history no longer reach
// back so far, the gateway tells with a gap.

import { Access } from "./access.js";
import { namedTypes, pageQuery, readSubscription, streamURL, windowKey } from "./address.js";
import { Chips } from "./chips.js";
import { byId, forBrowser, forTab } from "./dom.js";
import { EventList } from "./list.js";
import { Publisher } from "./publish.js";
import { describe, resumed } from "./rows.js";
import { Status } from "./status.js";
import { Stream } from "./stream.js";

const subscription = readSubscription(location.search);
let windowStart = forTab.get(windowKey(subscription)) || subscription.lastEventID;
let outage = 0; // ms, of the outage that has just ended
let shown = false; // whether there has been anything to see

const list = new EventList({ onDrop: startWindow, onClear: cleared });
const stream = new Stream({ onState: changed, onEvent: received });
const status = new Status({ onReconnect: connect });
const access = new Access({ onChange: admitted });
const publisher = new Publisher({
  getToken: () => access.token,
  onPublish: (type) => listenTo([...subscription.events, type]), // or its own event would not be seen
});
const users = new Chips("user", {
  onAdd: ([name]) => change({ user: name }),
  onRemove: () => change({ user: "" }),
});
const topics = new Chips("topic", {
  onAdd: (names) => change({ topics: [...new Set([...subscription.topics, ...names])] }),
  onRemove: (name) => change({ topics: subscription.topics.filter((topic) => topic !== name) }),
});
const events = new Chips("event", {
  onAdd: (types) => listenTo([...subscription.events, ...types]),
  onRemove: (name) => listenTo(subscription.events.filter((type) => type !== name)),
});

stream.listen(subscription.events);
byId("theme").addEventListener("click", switchTheme);
show();
connect();

// change is the one way for the subscription to become another.
function change(part) {
  Object.assign(subscription, part);
  show();
  forTab.set(windowKey(subscription), windowStart);
  connect();
}

// connect opens the stream where it stopped; the first time, where the window begins.
function connect() {
  if (!subscription.user && !subscription.topics.length) {
    stream.close();
    status.show({ name: "idle" });
    return;
  }
  stream.open((id) => streamURL(subscription, id, access.token), stream.lastID || windowStart);
}

// listenTo needs no other stream: types are chosen here, not by the gateway.
function listenTo(types) {
  subscription.events = namedTypes(types);
  stream.listen(subscription.events);
  show();
}

function admitted() {
  publisher.showCommand();
  connect();
}

function changed(state) {
  if (state.name === "live") outage = state.outage;
  if (state.problem?.status === 401) access.ask();
  status.show(state);
}

function received(event) {
  switch (event.type) {
    case "position":
      return;
    case "ready":
      if (!windowStart) startWindow(event.lastEventId);
      if (outage) add(resumed(outage));
      return;
    case "expiring":
      access.ask();
  }
  const row = describe(event);
  if (event.type === "close") topics.close(row.topic);
  add(row);
}

function add(row) {
  list.add(row);
  if (!shown) byId("empty").hidden = shown = true;
}

function startWindow(id) {
  windowStart = id;
  forTab.set(windowKey(subscription), id);
}

function cleared() {
  shown = false;
  byId("empty").hidden = false;
  if (stream.lastID) startWindow(stream.lastID);
}

function show() {
  const query = pageQuery(subscription);
  history.replaceState(null, "", query ? "?" + query : location.pathname);
  document.title = [subscription.user, subscription.topics.join("|"), "SSE gateway"].filter(Boolean).join(" · ");
  users.show(subscription.user ? [subscription.user] : []);
  topics.show(subscription.topics);
  events.show(subscription.events, ["message"]);
  publisher.suggest(subscription.topics);
  showHint();
}

function showHint() {
  const idle = !subscription.user && !subscription.topics.length;
  byId("empty-title").textContent = idle ? "Nothing to listen to yet" : "Listening";
  byId("empty-text").textContent = idle
    ? "Add a topic above, or a user, whose personal events are to come as well."
    : "Events appear here as they come. Publish one: with the form, or with the command that goes with it.";
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  forBrowser.set("theme", root.dataset.theme);
}
