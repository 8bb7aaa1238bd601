// The form that publishes one event, to a topic or to a user.

import { byId } from "./dom.js";
import { isCompound, isStructured } from "./json.js";
import { readProblem } from "./problem.js";

export class Publisher {
  #form = byId("publish-form");
  #result = byId("publish-result");
  #option = byId("json-option");
  #fields = this.#form.elements;
  #chosen = false; // whether the reader has touched "Send as JSON": then it is theirs
  #attempt = { body: "", key: "" }; // the last publish whose outcome is not known to be good
  #getToken;
  #onPublish;

  // getToken returns the token to send, if any; onPublish is told an event's type before it is sent.
  constructor({ getToken, onPublish }) {
    this.#getToken = getToken;
    this.#onPublish = onPublish;
    const { topic, user, data, json } = this.#fields;
    either(topic, user);
    data.addEventListener("input", () => this.#offerJSON());
    json.addEventListener("change", () => (this.#chosen = true));
    this.#form.addEventListener("input", () => this.showCommand());
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
    if (!topic.value && !user.value && topics.length) topic.value = topics[0];
    this.showCommand();
  }

  // showCommand writes down what the form would send as a command for a shell: a single quote ends the quoted text,
  // stands for itself, and begins it again. A token is named, not shown.
  showCommand() {
    const token = this.#getToken() ? ' -H "Authorization: Bearer $TOKEN"' : "";
    const body = `{${this.#members()}}`.replaceAll("'", "'\\''");
    byId("command-box").hidden = !this.#fields.topic.value && !this.#fields.user.value;
    byId("command").textContent = `curl -d '${body}'${token} ${new URL("publish", location.href)}`;
  }

  // offerJSON: text that reads as JSON may be meant as such. An object or an array most likely is; 42 may be a chat line.
  #offerJSON() {
    const { data, json } = this.#fields;
    const possible = isStructured(data.value);
    this.#option.hidden = !possible;
    if (!possible) this.#chosen = false;
    if (!this.#chosen) json.checked = possible && isCompound(data.value);
  }

  async #send() {
    const button = this.#form.querySelector("[type=submit]");
    if (button.disabled) return;
    button.disabled = true;
    this.#say("", "Publishing …");
    this.#onPublish(this.#fields.event.value.trim());
    try {
      await this.#post(this.#members());
    } catch {
      this.#say("false", "The gateway cannot be reached. Publishing again is safe: it will not be there twice.");
    } finally {
      button.disabled = false;
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
    const response = await fetch("publish", { method: "POST", headers, body });
    if (!response.ok) {
      const { title, detail } = await readProblem(response);
      this.#say("false", detail ? `${title}: ${detail}` : title);
      return;
    }
    const { id } = await response.json();
    this.#attempt = { body: "", key: "" };
    this.#say("true", `Published as ${id}`);
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
