/**
 * One raw connection: bytes out as they are, answers in by a reader that takes nothing but what
 * RFC 9112 allows an answer to be.
 */
import { connect, type Socket } from "node:net";

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** One byte a character. */
  readonly body: string;
}

/** The longest anybody waits for an answer or an end, milliseconds: a bound, not an expectation. */
const patienceMs = 20_000;

export class Wire implements Disposable {
  readonly #socket: Socket;
  #bytes = "";
  #all = "";
  #ended = false;
  #wake = Promise.withResolvers<void>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (data: Buffer) => this.#take(data.toString("latin1")));
    socket.on("close", () => this.#take(null));
    socket.on("error", () => undefined);
  }

  static open(port: number): Promise<Wire> {
    const { promise, resolve, reject } = Promise.withResolvers<Wire>();
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () =>
      resolve(new Wire(socket)),
    );
    socket.once("error", reject);
    socket.once("end", () => socket.end());
    return promise;
  }

  #take(text: string | null): void {
    if (text === null) this.#ended = true;
    else {
      this.#bytes += text;
      this.#all += text;
    }
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Everything that has come. */
  get heard(): string {
    return this.#all;
  }

  say(text: string): void {
    this.#socket.write(text, "latin1");
  }

  /** Says that no more will come. */
  finish(): void {
    this.#socket.end();
  }

  /** The next final answer, or null when the connection has ended without one. */
  async answer(method = "GET"): Promise<Answer | null> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error("neither answer nor end")), patienceMs);
    try {
      for (;;) {
        const found = readAnswer(this.#bytes, method, this.#ended);
        if (found !== null) {
          this.#bytes = this.#bytes.slice(found.length);
          if (found.answer.status >= 200) return found.answer;
        } else if (this.#ended) {
          if (this.#bytes !== "") throw new Error(`a broken answer: ${this.#bytes.slice(0, 200)}`);
          return null;
        } else await Promise.race([this.#wake.promise, late.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** The first whole answer of some bytes, and how long it is; throws on what is none. */
function readAnswer(
  bytes: string,
  method: string,
  ended: boolean,
): { answer: Answer; length: number } | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [line = "", ...fields] = bytes.slice(0, end).split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3}) [ -~]*$/.exec(line)?.[1]);
  const headers = new Map<string, string>();
  for (const field of fields) {
    const [, name = "", value = ""] = /^([\w-]+):[ \t]*([^\r\n\0]*)$/.exec(field) ?? [];
    const key = name.toLowerCase();
    const twice = headers.has(key) && key !== "set-cookie" && key !== "vary";
    if (name === "" || twice) throw new Error(`a broken head: ${bytes.slice(0, end)}`);
    headers.set(key, value);
  }
  if (Number.isNaN(status)) throw new Error(`a broken answer: ${line}`);
  const start = end + 4;
  const length = headers.get("content-length");
  if (headers.has("transfer-encoding")) {
    if (length !== undefined) throw new Error("both a length and chunks");
    const body = readChunks(bytes, start);
    return body && { answer: { status, headers, body: body.text }, length: body.end };
  }
  const none = status < 200 || status === 204 || status === 304 || method === "HEAD";
  if (length === undefined && !none) {
    // A refusal of the listener's own says nothing of its length, and closes.
    if (!ended) return null;
    return { answer: { status, headers, body: bytes.slice(start) }, length: bytes.length };
  }
  const size = none ? 0 : Number(length);
  if (bytes.length < start + size) return null;
  return {
    answer: { status, headers, body: bytes.slice(start, start + size) },
    length: start + size,
  };
}

function readChunks(bytes: string, start: number): { text: string; end: number } | null {
  let text = "";
  let at = start;
  for (;;) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) return null;
    const digits = bytes.slice(at, line);
    if (!/^[0-9a-f]+$/i.test(digits)) throw new Error(`a broken chunk: ${digits}`);
    const size = Number.parseInt(digits, 16);
    at = line + 2;
    if (bytes.length < at + size + 2) return null;
    if (bytes.slice(at + size, at + size + 2) !== "\r\n") throw new Error("a chunk without an end");
    text += bytes.slice(at, at + size);
    at += size + 2;
    if (size === 0) return { text, end: at };
  }
}
