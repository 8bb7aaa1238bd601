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
