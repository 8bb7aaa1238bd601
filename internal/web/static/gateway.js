// One stream of the gateway for all tabs of a browser, exact through reloads, cuts and tabs that die.
//
//   import { connect } from "/gateway.js";
//   const stream = connect({ topics: ["chatgpt", "robot"], user: "jack" });
//   stream.on("event", ({ topic, data }) => …);
//   stream.on("gap", ({ topic }) => …);      // something may be missing: fetch your state anew
//   stream.on("state", ({ name }) => …);
//
// A Web Lock elects one tab. It reads the stream for the topics of all, and a BroadcastChannel carries what it reads. Each
// tab keeps a position of its own and passes over what lies before it: so whoever reads next may begin too early, at the
// earliest position of all tabs, and nothing is lost or comes twice. gateway.d.ts says what each option and listener gets.

// A position is <ms>-<seq>; on a Redis Cluster "c" and, in base64url, how many partitions there are, then (step, ms, seq)
// of each one it has. What cannot be read is null, which is before nothing and after nothing.
function parse(text) {
  const [, ms, seq] = /^(\d+)-(\d+)$/.exec(text) ?? [];
  if (ms) return { of: 1, at: { 0: [+ms, +seq] } };
  if (!/^c[\w-]+$/.test(text)) return null;
  const numbers = [];
  let value = 0;
  let scale = 1;
  for (const char of atob(text.slice(1).replace(/-/g, "+").replace(/_/g, "/"))) {
    const byte = char.charCodeAt(0);
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) {
      numbers.push(value);
      value = 0;
      scale = 1;
    }
  }
  const at = {};
  let part = -1;
  for (let i = 1; i < numbers.length; i += 3) {
    part += numbers[i];
    at[part] = numbers.slice(i + 1, i + 3);
  }
  return { of: numbers[0], at };
}

function format({ of, at }) {
  if (of === 1) return at[0].join("-");
  let bytes = "";
  let last = -1;
  const put = (n) => {
    for (; n > 127; n = Math.floor(n / 128)) bytes += String.fromCharCode((n % 128) + 128);
    bytes += String.fromCharCode(n);
  };
  put(of);
  for (const part in at) {
    [part - last, ...at[part]].forEach(put);
    last = +part;
  }
  return "c" + btoa(bytes).replace(/[+/=]/g, (char) => ({ "+": "-", "/": "_" })[char] ?? "");
}

// A partition that a position lacks begins at the earliest moment that it has.
const reached = ({ at }, part) => at[part] ?? [Math.min(...Object.values(at).map(([ms]) => ms)), 0];

// merge takes of each partition the later (sign 1) or the earlier one (-1) of two positions.
function merge(a, b, sign) {
  const [one, other] = [parse(a), parse(b)];
  if (!one || !other) return one && sign < 0 ? b : other && sign > 0 ? b : a;
  for (const part of Object.keys({ ...one.at, ...other.at })) {
    const [x, y] = [reached(one, part), reached(other, part)];
    one.at[part] = sign * (x[0] - y[0] || x[1] - y[1]) > 0 ? x : y;
  }
  return format(one);
}

// covered tells whether who is at b has seen all that there is up to a.
const covered = (a, b) => a === b || (parse(a) && merge(a, b, 1) === b);

// What reads the stream for tabs: those of a browser, or one alone.
function lead({ base, user, credentials, token, say }) {
  const tabs = new Map(); // by id: {id, topics, since, at, ok}
  const ending = new AbortController();
  let run = null; // the stream that is open or to be opened: {key, tabs, topics, at, live, probe, abort}
  let retry = 3000;
  let fails = 0;
  let timer = 0;

  const union = (list) => [...new Set(list.flatMap((tab) => tab.topics))];
  const ids = (list) => list.map((tab) => tab.id);
  const state = (name, more) => say({ k: "state", run: run.key, name, state: more, tabs: ids(run.tabs) });
  const serve = () => say({ k: "serve", run: run.key, at: run.live && run.at, tabs: ids(run.tabs) });

  function wait(ms) {
    clearTimeout(timer);
    timer = setTimeout(plan, ms);
  }

  // plan opens the stream that the tabs need now. Those without a position get one first, from a stream of their own if
  // there are others.
  async function plan() {
    clearTimeout(timer);
    run?.abort.abort();
    if (run?.live) for (const tab of run.tabs) tab.at = tab.at ? merge(tab.at, run.at, 1) : run.at;
    if (run?.live && run.probe && !run.at) expel(ids(run.tabs)); // nothing has come that one could go on after
    const everybody = [...tabs.values()];
    const first = everybody.find((tab) => !tab.at);
    const list = first ? everybody.filter((tab) => !tab.at && tab.since === first.since) : everybody;
    const at = list.map((tab) => tab.at).reduce((a, b) => merge(a, b, -1), list[0]?.at);
    run = { key: Math.random(), tabs: list, topics: union(list), at, probe: list.length < tabs.size, abort: new AbortController() };
    if (!list.length || ending.signal.aborted) return;
    serve();
    state(fails ? "reconnecting" : "connecting");
    const { signal } = run.abort;
    const problem = await open(first?.since, signal).catch(() => {}); // cut, or not reached
    if (signal.aborted) return;
    if (problem) return refuse(problem);
    const ms = Math.max(retry, Math.min(retry * 2 ** fails++, 30_000));
    state("reconnecting", { retryAt: Date.now() + ms });
    wait(ms);
  }

  async function open(since, signal) {
    const query = new URLSearchParams(run.topics.map((topic) => ["topic", topic]));
    if (user) query.set("user", user);
    if (run.at) query.set("last_event_id", run.at);
    else if (since) query.set("since", since);
    const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
    const response = await fetch(`${base}subscribe?${query}`, { signal, headers, credentials, cache: "no-store" });
    const { status } = response;
    if (status === 429 || status > 499) retry = response.headers.get("Retry-After") * 1000 || retry;
    else if (status !== 200) return { status, title: response.statusText, detail: "", ...(await response.json().catch(() => ({}))) };
    else await read(response.body.pipeThrough(new TextDecoderStream()).getReader(), signal);
  }

  async function read(reader, signal) {
    let rest = "";
    let block = {};
    for (;;) {
      const { value, done } = await reader.read();
      if (done || signal.aborted) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const [, name, text] = /^([^:]*):? ?(.*)/.exec(line);
        if (name === "retry") retry = +text;
        else if (name) block[name] = name in block ? `${block[name]}\n${text}` : text;
        else if (line) say({ k: "beat", run: run.key });
        else {
          if ("data" in block) hand(block);
          block = {};
        }
        if (signal.aborted) return;
      }
    }
  }

  // hand passes a frame on. One whose id is not after the last one was sent by a Redis that has lost data: all go back to it.
  function hand({ event = "message", data, id = "" }) {
    const back = id && run.at && !covered(run.at, id);
    if (back) for (const tab of run.tabs) tab.at = "";
    run.at = id || run.at;
    if (event === "ready") {
      run.live = true;
      fails = 0;
      for (const tab of run.tabs) tab.ok = true;
    }
    say({ k: "frame", run: run.key, type: event, text: data, id, back });
    if (!run.probe) return;
    if (event === "position" || !run.tabs[0].since) plan();
    else if (event === "ready") wait(300); // most of what is kept has been read
  }

  // refuse: who was never served may be the reason, and must not keep the others from their events.
  function refuse(problem) {
    const strangers = ids(run.tabs.filter((tab) => !tab.ok));
    const over = problem.status === 204;
    if (over || !strangers.length || tabs.size === 1) {
      state(over ? "closed" : "refused", { problem });
      if (!over) return;
      for (const tab of run.tabs) tabs.delete(tab.id);
    } else {
      expel(strangers);
    }
    plan();
  }

  // expel has tabs read a stream of their own.
  function expel(list) {
    for (const id of list) tabs.delete(id);
    say({ k: "solo", tabs: list });
  }

  function leave({ id }) {
    tabs.delete(id);
    shrink();
  }

  // shrink drops topics that nobody listens to any more, after a while: it may be a reload.
  function shrink() {
    if (run?.live && union([...tabs.values()]).length < run.topics.length) wait(2000);
  }

  function join({ tab }) {
    if (tab.id && !tabs.has(tab.id)) navigator.locks.request(tab.id, { signal: ending.signal }, () => leave(tab)).catch(() => {});
    tabs.set(tab.id, tab);
    const within = run?.live && run.at && !run.probe && tab.topics.every((topic) => run.topics.includes(topic));
    if (within && (tab.at ? covered(run.at, tab.at) : !tab.since)) {
      tab.ok = true;
      run.tabs = [...run.tabs.filter(({ id }) => id !== tab.id), tab];
      serve();
      shrink();
    } else if (document.hidden) plan(); // its timers are slow
    else wait(25); // others may be coming, too
  }

  // By kind of message, but for close.
  return {
    join,
    leave,
    token: plan,
    again: plan,
    close() {
      ending.abort();
      clearTimeout(timer);
      run?.abort.abort();
    },
  };
}

const grace = 5000; // ms that a leader has to answer

export function connect({ url = new URL(".", import.meta.url), topics = [], user = "", since = "", lastEventId = "", token = "", credentials = "same-origin", resume = true }) {
  const base = new URL(url, location.href).href.replace(/[^/]*$/, "");
  const name = `gateway:${JSON.stringify([base, user])}`;
  const target = new EventTarget();
  const key = () => name + JSON.stringify([...topics].sort());
  let at = lastEventId || stored("getItem") || "";
  let me = "";
  let leader = null;
  let solo = false; // whether it shares no stream
  let channel = null;
  let served = 0; // which stream this tab listens to
  let state = { name: "idle" };
  let heartbeat = 15_000;
  let heard = 0;
  let due = 0; // when the leader has to have said something
  let ending = null;
  let ticking = 0;

  function stored(method, value) {
    try {
      return resume && sessionStorage[method](key(), value);
    } catch {
      // Forbidden, or full: a reload begins anew.
    }
  }

  function save() {
    if (at) stored("setItem", at);
  }

  const emit = (type, detail) => target.dispatchEvent(new CustomEvent(type, { detail }));

  function become(name, more) {
    state = { name, since: Date.now(), ...more };
    emit("state", state);
  }

  const live = () => state.name === "live" || become("live", { position: at });

  const post = (message) => channel?.postMessage(message);
  const say = (message) => {
    post(message);
    hear(message);
  };
  const join = () => say({ k: "join", tab: { id: me, topics, since: since === "now" ? "" : since, at } });

  function hear(message) {
    const { k, run } = message;
    const mine = message.tabs?.includes(me);
    if (run) {
      if (k !== "state") {
        heard = Date.now();
        if (state.name === "silent") live();
      }
      due = (message.state?.retryAt ?? Date.now() + 3 * heartbeat) + grace;
    }
    if (k === "token") ({ token } = message);
    leader?.[k]?.(message);
    if (k === "who") {
      if (message.id !== me) depose();
      join();
    }
    else if (k === "solo" && mine) start(true);
    else if (k === "state" && mine) {
      // A stream that takes the place of another is no news.
      if (message.name !== "connecting" || state.name !== "live") become(message.name, message.state);
    } else if (k === "frame" && served === run) take(message);
    else if (k === "serve") {
      served = mine && run;
      if (!mine || !message.at) return;
      at ||= message.at;
      live();
    }
  }

  function take({ type, text, id, back }) {
    if (id) {
      if (at && !back && covered(id, at) && type !== "ready" && !(type === "gap" && id === at)) return;
      at = back || !at ? id : merge(at, id, 1);
    }
    let value = {};
    try {
      value = JSON.parse(text);
    } catch {
      // Not an envelope: text is all there is to say.
    }
    if (type === "ready") {
      heartbeat = value.heartbeat || heartbeat;
      return live();
    }
    const event = { ...value, id, type, text };
    if (value?.topic !== undefined && !topics.includes(value.topic)) return;
    if (type === "gap" || type === "expiring" || type === "close") emit(type, event);
    else if (type !== "position") emit("event", event);
  }

  // tick keeps the position, and looks for silence. A leader that is frozen, or slowed down where nobody sees it, is replaced by a tab that is seen.
  function tick() {
    save();
    if (/refused|closed/.test(state.name)) return;
    const now = Date.now();
    if (state.name === "live" && now > heard + 2 * heartbeat) become("silent", { since: heard });
    if (now < due) return;
    due = now + grace;
    if (leader) leader.again();
    else if (!document.hidden) elect({ steal: true });
  }

  async function elect(options) {
    const { signal } = ending;
    try {
      await navigator.locks.request(name, options, () => {
        rule();
        return new Promise((release) => signal.addEventListener("abort", release));
      });
    } catch {
      // Stolen, or not wanted any more.
    }
    if (signal.aborted) return;
    depose();
    elect({ signal });
  }

  function depose() {
    leader?.close();
    leader = null;
  }

  function rule() {
    leader = lead({ base, user, credentials, say, token: () => token });
    say({ k: "who", id: me });
  }

  function start(alone) {
    stop();
    solo = alone || !navigator.locks; // on plain HTTP there are none
    ending = new AbortController();
    me = solo ? "" : `${name} ${Math.random()}`;
    heard = Date.now();
    due = heard + grace;
    ticking = setInterval(tick, 1000);
    become("connecting");
    if (solo) return rule();
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }) => hear(data);
    const { signal } = ending;
    // The leader waits for this lock: it gets it when the tab has died.
    navigator.locks.request(me, () => {
      elect({ signal });
      join();
      return signal.aborted || new Promise((release) => signal.addEventListener("abort", release));
    });
  }

  function stop() {
    save();
    clearInterval(ticking);
    post({ k: "leave", id: me });
    ending?.abort();
    depose();
    channel?.close();
    channel = null;
  }

  const show = ({ persisted }) => persisted && start();
  addEventListener("pagehide", stop);
  addEventListener("pageshow", show);
  start();

  return {
    get state() {
      return state;
    },
    get position() {
      return at;
    },
    on(type, listener) {
      target.addEventListener(type, ({ detail }) => listener(detail));
    },
    set(changes) {
      if (changes.token !== undefined) say({ k: "token", token: changes.token });
      if (!changes.topics) return;
      save();
      topics = changes.topics;
      if (solo) start();
      else join();
    },
    reconnect() {
      say({ k: "again" });
    },
    close() {
      removeEventListener("pagehide", stop);
      removeEventListener("pageshow", show);
      stop();
      become("idle");
    },
  };
}
