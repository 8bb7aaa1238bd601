// What the page subscribes to, read from its address and written back to it, so that an address can be shared.
//
// A subscription is {user, topics, since, lastEventID}; index.html says what each means.

export function readSubscription(search) {
  const query = new URLSearchParams(search);
  const split = (name) => query.getAll(name).flatMap((value) => value.split("|"));
  return {
    user: query.get("user") ?? "",
    topics: unique([...split("topics"), ...query.getAll("topic")]),
    since: query.get("since") ?? "",
    lastEventID: query.get("last_event_id") ?? "",
  };
}

// pageQuery is the address's query. "|" stays readable: the URL standard allows it there.
export function pageQuery(subscription) {
  const pairs = [...streamPairs(subscription)];
  if (subscription.since) pairs.push(["since", subscription.since]);
  if (subscription.lastEventID) pairs.push(["last_event_id", subscription.lastEventID]);
  return encode(pairs).replaceAll("%7C", "|");
}

// windowKey names a subscription in the tab's storage. Where it starts is part of it: whoever changes `since` in the
// address means it.
export function windowKey({ user, topics, since, lastEventID }) {
  return "window:" + JSON.stringify([user, [...topics].sort(), since, lastEventID]);
}

// splitNames takes what was typed into a chip's input apart: at "|", and at a comma that is followed by a space.
export function splitNames(text) {
  return unique(text.split(/\||,\s/).map((name) => name.trim().replace(/,$/, "")));
}

// faultOf tells why the gateway would refuse a name; "" if it would not.
export function faultOf(name, kind) {
  if (new TextEncoder().encode(name).length > 255) return `“${name.slice(0, 20)}…” is longer than 255 bytes`;
  if (/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(name)) return `“${name}” holds a control character`;
  if (kind === "topic" && name.startsWith("@")) return `“${name}” begins with @, as no topic does`;
  return "";
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
