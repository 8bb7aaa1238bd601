// The page: what it subscribes to is in its address, what it has shown is a window on the stream.
//
// A window begins at an id – where the first stream began – and its end is now. It moves on as rows are dropped or
// cleared, and its beginning is kept for the tab: a reload opens the stream right after it, so the gateway's history
// shows the same window again, with whatever came meanwhile, each event once and in order. (Resuming after the last
// event instead would lose nothing either, but leave the reader with an empty list.) Should history no longer reach
// back so far, the gateway tells with a gap.

import { Access } from "./access.js";
import { pageQuery, readSubscription, windowKey } from "./address.js";
import { Chips } from "./chips.js";
import { byId, forBrowser, forTab } from "./dom.js";
import { EventList } from "./list.js";
import { Publisher } from "./publish.js";
import { describe, resumed } from "./rows.js";
import { Since } from "./since.js";
import { Status } from "./status.js";
import { connect } from "../gateway.js";

const subscription = readSubscription(location.search);
let windowStart = forTab.get(windowKey(subscription)) || subscription.lastEventID;
let stream = null;
let lastID = "";
let outage = 0; // when the outage began that is going on; 0: none
let shown = false; // whether there has been anything to see

const list = new EventList({ onDrop: startWindow, onClear: cleared, onUnseen: showTitle });
const status = new Status({ onReconnect: open });
const access = new Access({ onChange: admitted });
const publisher = new Publisher({ getToken: () => access.token });
const users = new Chips("user", {
  onAdd: ([name]) => change({ user: name }),
  onRemove: () => change({ user: "" }),
});
const topics = new Chips("topic", {
  onAdd: (names) => change({ topics: [...new Set([...subscription.topics, ...names])] }),
  onRemove: (name) => change({ topics: subscription.topics.filter((topic) => topic !== name) }),
});
const since = new Since({ onChoose: startAnew });

byId("theme").addEventListener("click", switchTheme);
byId("fold").addEventListener("click", fold);
byId("to-publish").addEventListener("click", toPublish);
show();
open();

// change is the one way for the subscription to become another. It goes on where it stopped.
function change(part) {
  Object.assign(subscription, part);
  forTab.set(windowKey(subscription), windowStart);
  show();
  if (stream && !("user" in part) && subscription.topics.length && stream.state.name !== "refused") stream.set({ topics: subscription.topics });
  else open();
}

// startAnew forgets what has been shown: another beginning is another window.
function startAnew(from) {
  Object.assign(subscription, { since: from, lastEventID: "" });
  windowStart = "";
  lastID = "";
  list.clear();
  empty();
  show();
  open();
}

// open opens the stream where it stopped; the first time, where the window begins.
function open() {
  const before = stream;
  stream = null; // it is not heard any more
  before?.close();
  outage = 0;
  const { user, topics: names, since: from } = subscription;
  if (!user && !names.length) {
    status.show({ name: "idle" });
    return;
  }
  const opened = connect({ user, topics: names, since: from, lastEventId: lastID || windowStart, token: access.token, resume: false });
  stream = opened;
  const heard = (take) => (value) => opened === stream && take(value);
  opened.on("state", heard(changed));
  for (const type of ["event", "gap", "close", "expiring"]) opened.on(type, heard(received));
  changed(opened.state);
}

function admitted() {
  publisher.showCommand();
  open();
}

function changed(state) {
  publisher.forgetResult();
  if (state.name === "reconnecting") outage ||= state.since;
  if (state.name === "live") {
    if (!windowStart && state.position) startWindow(state.position);
    if (outage) add(resumed(Date.now() - outage));
    outage = 0;
  }
  if (state.problem?.status === 401) access.ask();
  status.show({ ...state, outage });
}

function received(event) {
  lastID = stream.position || lastID;
  if (event.type === "expiring") access.ask();
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

function empty() {
  shown = false;
  byId("empty").hidden = false;
}

function cleared() {
  empty();
  if (stream?.position) startWindow(stream.position);
}

function show() {
  const query = pageQuery(subscription);
  history.replaceState(null, "", query ? "?" + query : location.pathname);
  showTitle(0);
  users.show(subscription.user ? [subscription.user] : []);
  topics.show(subscription.topics);
  since.show(subscription.since);
  list.offer(subscription);
  publisher.suggest(subscription.topics);
  byId("fold-text").textContent = [...subscription.topics, subscription.user && `as ${subscription.user}`].filter(Boolean).join(", ") || "Choose topics";
}

function showTitle(unseen) {
  const title = [subscription.user, subscription.topics.join("|"), "SSE gateway"].filter(Boolean).join(" · ");
  document.title = unseen ? `(${unseen}) ${title}` : title;
}

function toPublish() {
  byId("publish-data").focus({ preventScroll: true });
  byId("publish-title").scrollIntoView(); // the form as a whole, not its field alone
}

// fold shows or hides the chips, which a phone has no room for at all times.
function fold() {
  const open = byId("request").classList.toggle("unfolded");
  byId("fold").setAttribute("aria-expanded", String(open));
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  forBrowser.set("theme", root.dataset.theme);
}
