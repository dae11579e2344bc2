// @ts-check
/**
 * System calls from a page: `POST /sys/<domain>/<call>` of this origin, the session in its cookie.
 * A refusal is a CallError with the errno, the message and the hint of the kernel.
 */

/** @typedef {{ code: string, message: string, hint: string | null }} ErrorBody */

export class CallError extends Error {
  /** @param {ErrorBody} body @param {number} status @param {number | null} retryAfterS */
  constructor(body, status, retryAfterS) {
    super(body.message);
    this.code = body.code;
    this.hint = body.hint;
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/** @param {Response} response @returns {Promise<CallError>} */
async function refusal(response) {
  const after = response.headers.get("retry-after");
  /** @type {ErrorBody} */
  let body = { code: "EIO", message: `the machine answered ${response.status}`, hint: null };
  try {
    body = (await response.json()).error ?? body;
  } catch {
    // Not the kernel's own answer, such as a proxy's page: the status has to do.
  }
  return new CallError(body, response.status, after === null ? null : Number(after));
}

/**
 * @param {string} path @param {unknown} input @param {AbortSignal | null} signal
 * @returns {Promise<Response>}
 */
async function post(path, input, signal) {
  /** @type {Response} */
  let response;
  try {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify(input);
    response = await fetch(path, { method: "POST", headers, body, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    const message = "the machine does not answer";
    const hint = "look whether it is running and the network is up";
    throw new CallError({ code: "ECONNREFUSED", message, hint }, 0, null);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** `proc.startApp` → `/sys/proc/start-app`. @param {string} name */
const pathOf = (name) =>
  `/sys/${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll(".", "/")}`;

/** A call with one reply. @param {string} name @param {object} [input] @returns {Promise<any>} */
export async function call(name, input = {}) {
  return (await post(pathOf(name), input, null)).json();
}

/** A call whose reply is bytes. @param {string} name @returns {Promise<Blob>} */
export async function bytesOf(name) {
  return (await post(pathOf(name), {}, null)).blob();
}

/** Makes the machine somebody's. @param {object} input @returns {Promise<any>} */
export async function claim(input) {
  return (await post("/sys/setup/claim", input, null)).json();
}

/** How the machine is; needs no session. @returns {Promise<any>} */
export async function health() {
  return (await fetch("/sys/health")).json();
}

/**
 * The lines of a stream, until it ends or `signal` aborts.
 * @param {string} name @param {object} input @param {AbortSignal} signal
 * @returns {AsyncGenerator<any>}
 */
export async function* lines(name, input, signal) {
  const response = await post(pathOf(name), input, signal);
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part !== "") yield JSON.parse(part);
  }
}
