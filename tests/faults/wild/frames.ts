/**
 * One raw HTTP/2 connection (RFC 9113): frames out as they are asked for, however wrong, and what
 * comes back by stream. Of header compression (RFC 7541) only what is needed: literals out, and of
 * an answer its status.
 */
import { connect, type TLSSocket } from "node:tls";

/** How the other side ended a stream: with an answer, or by ending the stream or the connection. */
export type Reply =
  | { readonly kind: "answer"; readonly status: number; readonly body: string }
  | { readonly kind: "reset"; readonly code: number }
  | { readonly kind: "gone" };

export type Field = readonly [name: string, value: string];

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goAway: 7,
  window: 8,
  continuation: 9,
} as const;

export const endStream = 1;
export const endHeaders = 4;

/** The longest anybody waits for an answer or an end, milliseconds: a bound, not an expectation. */
const patienceMs = 20_000;

/** A length of HPACK: seven bits, then seven each (RFC 7541, 5.1), without Huffman. */
function sized(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const rest: number[] = [];
  let left = bytes.length - 127;
  for (; left >= 128; left >>= 7) rest.push((left & 127) | 128);
  return Buffer.concat([Buffer.of(127, ...rest, left), bytes]);
}

/** A block of fields, each a literal that is not indexed. */
export const block = (fields: readonly Field[]): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), sized(name), sized(value)]));

/** A frame: its type, flags and stream, then what it carries. */
export function frame(
  [type, flags, stream]: readonly [type: number, flags: number, stream: number],
  payload: Uint8Array,
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Statuses of the static table (RFC 7541, appendix A). */
const statuses = [200, 204, 206, 304, 400, 404, 500];

/** Digits in Huffman's code (RFC 7541, appendix B): 0 to 2 have five bits, the rest six. */
function huffmanDigits(bytes: Uint8Array): string {
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let text = "";
  while (bits.length >= 5) {
    const five = Number.parseInt(bits.slice(0, 5), 2);
    const six = Number.parseInt(bits.slice(0, 6), 2);
    if (five <= 2) text += five;
    else if (bits.length >= 6 && six >= 25 && six <= 31) text += six - 22;
    else break;
    bits = bits.slice(five <= 2 ? 5 : 6);
  }
  return text;
}

/** The status of an answer, which is the first of its fields. */
function statusOf(payload: Buffer): number {
  let at = 0;
  while (((payload[at] ?? 0) & 0xe0) === 0x20) at++;
  const first = payload[at] ?? 0;
  if (first >= 0x88 && first <= 0x8e) return statuses[first - 0x88] ?? 0;
  const length = payload[at + 1] ?? 0;
  const value = payload.subarray(at + 2, at + 2 + (length & 127));
  return Number(length & 128 ? huffmanDigits(value) : value.toString("latin1"));
}

interface Heard {
  status: number;
  body: string;
  reply: Reply | null;
}

export class Frames implements Disposable {
  readonly #socket: TLSSocket;
  #bytes: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  readonly #heard = new Map<number, Heard>();
  #gone = false;
  #wake = Promise.withResolvers<void>();

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("data", (data: Buffer) => this.#take(data));
    socket.on("close", () => this.#end());
    socket.on("error", () => this.#end());
  }

  /** A connection that has said its preface; our table for compressed fields has no room. */
  static open(port: number): Promise<Frames> {
    const { promise, resolve, reject } = Promise.withResolvers<Frames>();
    const to = { host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["h2"] };
    const socket = connect(to, () => {
      if (socket.alpnProtocol !== "h2") return reject(new Error("no HTTP/2 here"));
      const made = new Frames(socket);
      const settings = Buffer.of(0, 1, 0, 0, 0, 0);
      socket.write(
        Buffer.concat([
          Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
          frame([frameType.settings, 0, 0], settings),
        ]),
      );
      resolve(made);
    });
    socket.once("error", reject);
    return promise;
  }

  #end(): void {
    this.#gone = true;
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  #take(data: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, data]);
    for (;;) {
      if (this.#bytes.length < 9) break;
      const length = this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < 9 + length) break;
      const [type = 0, flags = 0] = this.#bytes.subarray(3, 5);
      const stream = this.#bytes.readUInt32BE(5) & 0x7fff_ffff;
      const payload = this.#bytes.subarray(9, 9 + length);
      this.#bytes = this.#bytes.subarray(9 + length);
      this.#hear({ type, flags, stream, payload });
    }
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  #hear(heard: { type: number; flags: number; stream: number; payload: Buffer }): void {
    const { type, flags, stream, payload } = heard;
    if (type === frameType.settings && (flags & 1) === 0) {
      this.say(frame([frameType.settings, 1, 0], Buffer.alloc(0)));
    }
    if (type === frameType.goAway && payload.readUInt32BE(4) !== 0) this.#gone = true;
    const known = this.#heard.get(stream) ?? { status: 0, body: "", reply: null };
    this.#heard.set(stream, known);
    if (type === frameType.headers && known.status === 0) known.status = statusOf(payload);
    if (type === frameType.data) known.body += payload.toString("latin1");
    if (type === frameType.reset) known.reply ??= { kind: "reset", code: payload.readUInt32BE(0) };
    const ends = type === frameType.headers || type === frameType.data;
    if (ends && flags & endStream) {
      known.reply = { kind: "answer", status: known.status, body: known.body };
    }
  }

  say(...frames: readonly Uint8Array[]): void {
    if (!this.#gone) this.#socket.write(Buffer.concat(frames));
  }

  /** A request of these fields and this body (null: none), in as few frames as that takes. */
  ask(stream: number, fields: readonly Field[], body: string | null = null): void {
    const flags = endHeaders | (body === null ? endStream : 0);
    const frames = [frame([frameType.headers, flags, stream], block(fields))];
    if (body !== null) {
      frames.push(frame([frameType.data, endStream, stream], Buffer.from(body, "latin1")));
    }
    this.say(...frames);
  }

  /** How a stream ends. */
  async reply(stream: number): Promise<Reply> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error("neither answer nor end")), patienceMs);
    try {
      for (;;) {
        const reply = this.#heard.get(stream)?.reply;
        if (reply) return reply;
        if (this.#gone) return { kind: "gone" };
        await Promise.race([this.#wake.promise, late.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
