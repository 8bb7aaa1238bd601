// Reading what the gateway says when it refuses (RFC 9457, application/problem+json).

// readProblem turns a refusal into {status, title, detail}; also one of something between, which speaks no JSON.
export async function readProblem(response) {
  const problem = { status: response.status, title: `Refused with status ${response.status}`, detail: "" };
  try {
    const body = await response.json();
    if (typeof body.title === "string" && body.title) problem.title = body.title;
    if (typeof body.detail === "string") problem.detail = body.detail;
  } catch {
    problem.detail = "Without a reason; perhaps by something in front of the gateway.";
  }
  const wait = Number(response.headers.get("Retry-After"));
  if (wait > 0) problem.detail = `${problem.detail} Try again in ${wait} s.`.trim();
  return problem;
}

// explainEnd asks why a stream was refused: EventSource itself never tells. It makes the same request once and lets go
// of it as soon as the head is there, should it be granted this time.
export async function explainEnd(url) {
  const abort = new AbortController();
  try {
    const response = await fetch(url, { signal: abort.signal, cache: "no-store" });
    if (response.status === 204) {
      return { status: 204, title: "Closed.", detail: "Every topic of this stream is closed: nothing more will come." };
    }
    if (!response.ok) return await readProblem(response);
    return { status: 200, title: "The stream was refused.", detail: "It would be granted now." };
  } catch {
    return { status: 0, title: "The gateway cannot be reached.", detail: "" };
  } finally {
    abort.abort();
  }
}
