// The page: useChat as it comes. It knows no gateway; the back end sends it there.
import { useChat } from "@ai-sdk/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";

// How long after a cut the page comes back, and how often in a row without having got anything.
const pause = 500;
const patience = 60;

const url = new URL(location.href);
const id = url.searchParams.get("chat") ?? crypto.randomUUID();
url.searchParams.set("chat", id);
history.replaceState(null, "", url);

let failures = 0;

function Chat({ messages: before }) {
  const [text, setText] = useState("");
  const { messages, status, error, sendMessage, resumeStream } = useChat({
    id,
    messages: before,
    resume: true,
    onFinish: ({ isError }) => {
      if (!isError) failures = 0;
    },
    onError: (cause) => {
      // 410: the gateway does not have the whole run any more. Anything else may be better the next time.
      if (cause.statusCode !== 410 && failures++ < patience) setTimeout(resumeStream, pause);
    },
  });
  const send = (event) => {
    event.preventDefault();
    sendMessage({ text });
    setText("");
  };
  return (
    <main data-status={status}>
      {messages.map((message) => (
        <p key={message.id} className={message.role}>
          {message.parts.map((part) => (part.type === "text" ? part.text : ""))}
        </p>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={send}>
        <input value={text} onChange={(event) => setText(event.target.value)} aria-label="Message" />
        <button type="submit">Send</button>
        <button type="button" onClick={() => fetch(`/api/chat/${id}/stop`, { method: "POST" })}>Stop</button>
      </form>
    </main>
  );
}

const response = await fetch(`/api/chat/${id}`);
const root = document.body.appendChild(document.createElement("div"));
createRoot(root).render(<Chat messages={await response.json()} />);
