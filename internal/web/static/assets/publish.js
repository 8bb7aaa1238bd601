// The form that publishes one event, to a topic or to a user.

import { byId, copy } from "./dom.js";
import { isCompound, isStructured } from "./json.js";
import { readProblem } from "./problem.js";

const patience = 10_000; // ms that the gateway has to answer

export class Publisher {
  #form = byId("publish-form");
  #result = byId("publish-result");
  #option = byId("json-option");
  #fields = this.#form.elements;
  #chosen = false; // whether the reader has touched "Send as JSON": then it is theirs
  #attempt = { body: "", key: "" }; // the last publish whose outcome is not known to be good
  #sent = ""; // the body that was sent last, until another is typed
  #suggested = false; // whether a topic has been proposed: once, and never over what the reader has emptied
  #busy = false;
  #getToken;

  // getToken returns the token to send, if any.
  constructor({ getToken }) {
    this.#getToken = getToken;
    const { topic, user, data, json } = this.#fields;
    either(topic, user);
    data.addEventListener("input", () => this.#offerJSON());
    json.addEventListener("change", () => (this.#chosen = true));
    this.#form.addEventListener("input", () => {
      this.#sent = "";
      this.#say("", "");
      this.showCommand();
    });
    byId("copy-command").addEventListener("click", (event) => copy(event.currentTarget, this.#command(this.#getToken())));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.#form.requestSubmit();
      }
    });
    if (/Mac|iPhone|iPad/.test(navigator.platform)) byId("publish-hint").querySelector("kbd").textContent = "⌘";
  }

  // suggest offers the topics that the page listens to, and starts with the first of them.
  suggest(topics) {
    byId("known-topics").replaceChildren(...topics.map((topic) => new Option(topic, topic)));
    const { topic, user } = this.#fields;
    if (!this.#suggested && !topic.value && !user.value && topics.length) topic.value = topics[0];
    this.#suggested ||= topics.length > 0;
    this.showCommand();
  }

  // forgetResult takes back that something was published: the connection has become another since.
  forgetResult() {
    if (this.#result.dataset.ok === "true") this.#say("", "");
  }

  // showCommand writes down what the form would send, or has just sent. The copy carries the token; the page hides most of it.
  showCommand() {
    const token = this.#getToken();
    byId("command-box").hidden = !this.#sent && !this.#fields.topic.value && !this.#fields.user.value;
    byId("command-label").textContent = this.#sent ? "What was sent, in a terminal" : "The same in a terminal";
    byId("command").textContent = this.#command(token && `${token.slice(0, 6)}…`);
    byId("command-access").textContent = token
      ? "The copy carries the whole token."
      : "Without the cookie that the browser may send along: if the gateway wants one, add a token.";
  }

  // command is for a shell: a single quote ends the quoted text, stands for itself, and begins it again.
  #command(token) {
    const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const access = token ? ` -H ${quoted(`Authorization: Bearer ${token}`)}` : "";
    return `curl -d ${quoted(`{${this.#sent || this.#members()}}`)}${access} ${new URL("publish", location.href)}`;
  }

  // offerJSON: text that reads as JSON may be meant as such. An object or an array most likely is; 42 may be a chat line.
  #offerJSON() {
    const { data, json } = this.#fields;
    const possible = isStructured(data.value);
    this.#option.hidden = !possible;
    byId("not-json").hidden = possible || !isCompound(data.value);
    if (!possible) this.#chosen = false;
    if (!this.#chosen) json.checked = possible && isCompound(data.value);
  }

  async #send() {
    if (this.#busy) return;
    const { topic, user } = this.#fields;
    if (!topic.value && !user.value) {
      this.#say("false", "To which topic, or to whom?");
      topic.focus();
      return;
    }
    const button = this.#form.querySelector("[type=submit]"); // not disabled: it would lose the focus
    this.#busy = true;
    button.setAttribute("aria-disabled", "true");
    this.#say("", "Publishing …");
    try {
      await this.#post(this.#members());
    } catch (error) {
      const why = error.name === "TimeoutError" ? `The gateway has not answered within ${patience / 1000} s, and may have published it.` : "The gateway cannot be reached.";
      this.#say("false", `${why} Publishing again is safe: it will not be there twice.`);
    } finally {
      this.#busy = false;
      button.removeAttribute("aria-disabled");
    }
  }

  // members is the body without its key, as text: JSON goes out as it was typed, not as JSON.parse would round it.
  #members() {
    const { topic, user, event, data, json } = this.#fields;
    const members = [];
    if (topic.value) members.push(`"topic":${JSON.stringify(topic.value)}`);
    if (user.value) members.push(`"user":${JSON.stringify(user.value)}`);
    if (event.value.trim()) members.push(`"event":${JSON.stringify(event.value.trim())}`);
    members.push(`"data":${json.checked ? data.value : JSON.stringify(data.value)}`);
    return members.join(",");
  }

  async #post(members) {
    // The same event tried again has the same key: one that did arrive, though its answer did not, is not repeated.
    if (this.#attempt.body !== members) this.#attempt = { body: members, key: randomKey() };
    const headers = { "Content-Type": "application/json" };
    if (this.#getToken()) headers.Authorization = `Bearer ${this.#getToken()}`;
    const body = `{${members},"key":${JSON.stringify(this.#attempt.key)}}`;
    const response = await fetch("publish", { method: "POST", headers, body, signal: AbortSignal.timeout(patience) });
    if (!response.ok) {
      const { title, detail } = await readProblem(response);
      this.#say("false", detail ? `${title}: ${detail}` : title);
      return;
    }
    const { id } = await response.json();
    this.#attempt = { body: "", key: "" };
    this.#say("true", `Published as ${id}`);
    this.#sent = members;
    this.#fields.data.value = "";
    this.#offerJSON();
    this.showCommand();
  }

  #say(ok, text) {
    this.#result.dataset.ok = ok;
    this.#result.textContent = text;
  }
}

// either makes two fields exclude each other: what is typed into one sets the other's text aside, and emptying it
// brings that back.
function either(one, other) {
  for (const [field, rest] of [[one, other], [other, one]]) {
    let aside = "";
    field.addEventListener("input", () => {
      if (field.value && rest.value) {
        aside = rest.value;
        rest.value = "";
      } else if (!field.value && aside) {
        rest.value = aside;
        aside = "";
      }
    });
  }
}

// randomKey: crypto.randomUUID is there in secure contexts only, and the gateway may be on plain HTTP.
function randomKey() {
  return "page-" + Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
}
