// What the page says of its connection, in one place: each state has its own words, and no part of the page says anything
// about the state but what stands here.
//
//   label   the lamp's text             detail  beside it; gets the state and the time
//   title   in the empty list           text    below that
//   again   the button of the bar that tells why there is no stream; without, there is no bar

const seconds = (ms) => Math.max(0, Math.round(ms / 1000));

export const words = {
  idle: {
    label: "Idle",
    title: "Nothing to listen to yet",
    text: "Add a topic above, or a user, whose personal events are to come as well.",
  },
  connecting: {
    label: "Connecting",
    // Over HTTP/1.1 a browser has six connections per host, for all that its tabs do.
    detail: ({ since }, now) => (now - since > 6000 ? `no answer for ${seconds(now - since)} s` : ""),
    title: "Connecting",
    text: "Events appear here once the gateway has answered.",
  },
  live: {
    label: "Live",
    detail: ({ since }) => `since ${new Date(since).toLocaleTimeString()}`,
    title: "Listening",
    text: "Events appear here as they come. Publish one: with the form, or with the command that goes with it.",
  },
  silent: {
    label: "No sign of life",
    detail: ({ since }, now) => `for ${seconds(now - since)} s`,
    title: "Nothing is heard",
    text: "The connection is open, but not even a heartbeat comes. If that lasts, the page connects anew; nothing is lost.",
  },
  reconnecting: {
    label: "Reconnecting",
    detail({ retryAt = 0, outage }, now) {
      const left = Math.ceil((retryAt - now) / 1000);
      return left > 0 ? `in ≈ ${left} s` : `now – away for ${seconds(now - outage)} s`;
    },
    title: "Cut off",
    text: "What is published meanwhile appears here when the gateway is back.",
  },
  refused: {
    label: "Refused",
    title: "Not listening",
    text: "The gateway has refused this stream; the reason is above.",
    again: "Try again",
  },
  closed: {
    label: "Closed",
    title: "Closed",
    text: "Every topic of this stream is closed: nothing more will come.",
    again: "Look again",
  },
};

export const closedProblem = { status: 204, title: "Closed.", detail: words.closed.text };
