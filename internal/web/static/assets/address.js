// What the page subscribes to, read from its address and written back to it, so that an address can be shared.
//
// A subscription is {user, topics, events, since, lastEventID}; index.html says what each means.

// reserved types are the gateway's and EventSource's own: they need not or cannot be asked for.
export const reserved = ["ready", "gap", "close", "position", "expiring", "open", "error"];

export function readSubscription(search) {
  const query = new URLSearchParams(search);
  const split = (name) => query.getAll(name).flatMap((value) => value.split("|"));
  return {
    user: query.get("user") ?? "",
    topics: unique([...split("topics"), ...query.getAll("topic")]),
    events: namedTypes(split("events")),
    since: query.get("since") ?? "",
    lastEventID: query.get("last_event_id") ?? "",
  };
}

// namedTypes leaves out of a list what need not or cannot be asked for.
export function namedTypes(types) {
  return unique(types).filter((type) => type !== "message" && !reserved.includes(type));
}

// pageQuery is the address's query. "|" stays readable: the URL standard allows it there.
export function pageQuery(subscription) {
  const pairs = [...streamPairs(subscription)];
  if (subscription.events.length) pairs.push(["events", subscription.events.join("|")]);
  if (subscription.since) pairs.push(["since", subscription.since]);
  if (subscription.lastEventID) pairs.push(["last_event_id", subscription.lastEventID]);
  return encode(pairs).replaceAll("%7C", "|");
}

// streamURL is where the stream is, relative to the page. resume is the id to go on after; empty at a first visit.
export function streamURL(subscription, resume, token) {
  const pairs = [...streamPairs(subscription)];
  if (resume) pairs.push(["last_event_id", resume]);
  else if (subscription.since) pairs.push(["since", subscription.since]);
  if (token) pairs.push(["access_token", token]);
  return "subscribe?" + encode(pairs);
}

// windowKey names a subscription in the tab's storage. Where it starts is part of it: whoever changes `since` in the
// address means it.
export function windowKey({ user, topics, since, lastEventID }) {
  return "window:" + JSON.stringify([user, [...topics].sort(), since, lastEventID]);
}

// splitNames takes what was typed into a chip's input apart.
export function splitNames(text) {
  return unique(text.split("|").map((name) => name.trim()));
}

function* streamPairs({ user, topics }) {
  if (user) yield ["user", user];
  const plain = topics.filter((topic) => !topic.includes("|"));
  if (plain.length) yield ["topics", plain.join("|")];
  for (const topic of topics) if (topic.includes("|")) yield ["topic", topic];
}

function encode(pairs) {
  return pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

function unique(names) {
  return [...new Set(names.filter(Boolean))];
}
