// Types of gateway.js: one stream of the gateway for all tabs of a browser.

export interface Options {
  /** Where the gateway is. Default: where gateway.js was loaded from. */
  url?: string | URL;
  /** What to listen to. */
  topics?: string[];
  /** Also the personal events of this user. */
  user?: string;
  /** Where a first visit starts: "now" (default), "all", "last:10", an RFC 3339 time, or a duration back such as "10m". */
  since?: string;
  /** Go on after this id; it goes before what a reload would go on after. */
  lastEventId?: string;
  /** Sent as "Authorization: Bearer". Give another one with set when expiring comes. */
  token?: string;
  /** Whether the cookie goes along: "include" also to another origin. Default: "same-origin". */
  credentials?: RequestCredentials;
  /** Whether a reload goes on where the page stopped, for the same set of topics. Default: true. */
  resume?: boolean;
}

/** A published event. data is parsed; text is the envelope as it was sent, for numbers beyond 2^53. */
export interface GatewayEvent<Data = unknown> {
  id: string;
  type: string;
  topic?: string;
  user?: string;
  from?: string;
  data: Data;
  text: string;
}

/** Events of the topic, or of the user, may be missing after an id: fetch your state anew. */
export interface Gap {
  id: string;
  topic?: string;
  user?: string;
  after?: string;
  /** The oldest event that is kept; null if there is none. */
  oldest?: string | null;
}

/** What the gateway said when it refused (RFC 9457). */
export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail: string;
}

export type State =
  | { name: "idle" }
  | { name: "connecting"; since: number }
  /** Nothing will be missed after position. */
  | { name: "live"; since: number; position: string }
  /** No sign of life since then, which is longer than two heartbeats. */
  | { name: "silent"; since: number }
  | { name: "reconnecting"; since: number; retryAt?: number }
  /** It will not come back by itself: give another token or other topics, or call reconnect. */
  | { name: "refused"; since: number; problem: Problem }
  /** Every topic has ended. */
  | { name: "closed"; since: number };

export interface Listeners {
  event: GatewayEvent;
  gap: Gap;
  /** A topic has ended. */
  close: { id: string; topic: string };
  state: State;
  /** The token is about to expire: renew the cookie, or give another token with set. */
  expiring: { expires: string };
}

export interface Connection {
  readonly state: State;
  /** The id of the last event, to go on after. */
  readonly position: string;
  on<Type extends keyof Listeners>(type: Type, listener: (value: Listeners[Type]) => void): void;
  /** Other topics are listened to from position on. A token is for all tabs that share the stream. */
  set(changes: { topics?: string[]; token?: string }): void;
  /** Tries again at once. */
  reconnect(): void;
  close(): void;
}

/** Tabs with the same gateway and user share a stream. Listeners that are added at once miss nothing but the state "connecting". */
export function connect(options: Options): Connection;
