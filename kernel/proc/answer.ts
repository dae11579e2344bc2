/**
 * System calls from an app: frames in, one call of the dispatcher, frames out.
 *
 * Rules: who calls is decided by which socket it came from; an input over `jsonBytesMax` and
 * nonsense instead of JSON are refused before anything runs; a call whose app is gone is aborted.
 */

import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import { Intake, pour } from "./body.ts";
import { kind, readCall } from "./head.ts";
import { inputsBytesMax, jsonBytesMax, pieceBytesMax } from "./limits.ts";
import type { AppCall, AppReply } from "./proc.ts";
import type { Listener, Opened, Stream } from "./stream.ts";

export type Answer = (call: AppCall) => Promise<AppReply>;

/** What the calls of one process share. */
export interface CallDesk {
  readonly caller: Caller;
  readonly answer: Answer;
  /** Bytes of large inputs that are being gathered now. */
  inputBytes: number;
}

/** Hears one call on a stream the app opened, makes it and answers it. */
export function answerCall(stream: Stream, opened: Opened, desk: CallDesk): Listener {
  const call = new IncomingCall(stream, opened, desk);
  call.begin(opened);
  return call;
}

class IncomingCall implements Listener {
  readonly #stream: Stream;
  readonly #desk: CallDesk;
  readonly #name: string;
  readonly #inputBytes: number;
  #input: Buffer[] = [];
  #collected = 0;
  #intake: Intake | null = null;
  #abort: AbortController | null = null;
  #gone = false;
  #reserved = 0;

  constructor(stream: Stream, opened: Opened, desk: CallDesk) {
    const { call, inputBytes } = readCall(opened.head);
    this.#stream = stream;
    this.#desk = desk;
    this.#name = call;
    this.#inputBytes = inputBytes;
  }

  begin(opened: Opened): void {
    const size = this.#inputBytes;
    if (!Number.isSafeInteger(size) || size < 0 || size > jsonBytesMax) {
      this.#refuse(new SysError("EFBIG", `cannot call "${this.#name}": input too large`));
      return;
    }
    if (size > opened.body.length && !this.#reserve(size)) {
      this.#refuse(
        new SysError("EAGAIN", `cannot call "${this.#name}": too many large inputs at once`, {
          hint: "await earlier calls first",
        }),
      );
      return;
    }
    this.#collect(opened.body, opened.end);
  }

  /** Room for an input that comes in pieces; false when others have taken it. */
  #reserve(bytes: number): boolean {
    if (this.#desk.inputBytes + bytes > inputsBytesMax) return false;
    this.#desk.inputBytes += bytes;
    this.#reserved = bytes;
    return true;
  }

  #release(): void {
    this.#desk.inputBytes -= this.#reserved;
    this.#reserved = 0;
  }

  head(): void {}

  message(): void {}

  data(bytes: Buffer): void {
    if (this.#intake !== null) {
      this.#intake.push(bytes);
      return;
    }
    this.#stream.consumed(bytes.length);
    this.#collect(bytes, false);
  }

  end(): void {
    if (this.#intake !== null) {
      this.#intake.end();
      return;
    }
    this.#collect(Buffer.alloc(0), true);
  }

  reset(reason: string): void {
    this.#release();
    this.#gone = true;
    this.#intake?.fail(new Error(`the app has gone: ${reason}`));
    this.#abort?.abort(new SysError("ECANCELED", "canceled by the app"));
  }

  /** Gathers the input; runs the call as soon as it is whole, while the upload goes on. */
  #collect(bytes: Buffer, ended: boolean): void {
    const missing = this.#inputBytes - this.#collected;
    if (bytes.length < missing) {
      this.#collected += bytes.length;
      this.#input.push(bytes);
      if (ended)
        this.#refuse(new SysError("EBADMSG", `cannot call "${this.#name}": input cut off`));
      return;
    }
    this.#input.push(bytes.subarray(0, missing));
    this.#collected = this.#inputBytes;
    const upload = bytes.subarray(missing);
    if (!ended || upload.length > 0) {
      this.#intake = new Intake(this.#stream, upload, ended);
      if (ended) this.#intake.end();
    }
    void this.#run();
  }

  async #run(): Promise<void> {
    try {
      const [first] = this.#input;
      const whole =
        this.#input.length === 1 && first !== undefined ? first : Buffer.concat(this.#input);
      this.#input = [];
      this.#release();
      await this.#send(await this.#desk.answer(this.#call(parse(whole, this.#name))));
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Body and signal are made only when the call looks at them. */
  #call(input: unknown): AppCall {
    const { caller } = this.#desk;
    const body = () => this.#intake?.readable() ?? new Blob([]).stream();
    const signal = () => this.#signal();
    return {
      caller,
      call: this.#name,
      input,
      get body() {
        return body();
      },
      get signal() {
        return signal();
      },
    };
  }

  #signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#gone) this.#abort.abort(new SysError("ECANCELED", "canceled by the app"));
    return this.#abort.signal;
  }

  async #send(reply: AppReply): Promise<void> {
    const stream = this.#stream;
    if (reply.kind === "json") return this.#json(kind.json, reply.value);
    const begun = { head: "", body: null, end: false };
    if (reply.kind === "bytes") {
      const { whole } = reply.bytes;
      if (whole !== undefined && whole.length <= pieceBytesMax) {
        stream.answer({ head: "", kind: kind.bytes, body: whole, end: true });
      } else {
        stream.answer({ ...begun, kind: kind.bytes });
        await pour(stream, reply.bytes.stream);
      }
    } else {
      stream.answer({ ...begun, kind: kind.lines });
      await pour(stream, ndjson(reply.lines));
    }
    this.#answered();
  }

  async #json(sort: number, value: unknown): Promise<void> {
    const text = JSON.stringify(value) ?? "";
    const opening = { kind: sort, head: "", body: text, end: true };
    if (text.length * 3 <= pieceBytesMax) {
      this.#stream.answer(opening);
    } else {
      this.#stream.answer({ ...opening, body: null, end: false });
      await pour(this.#stream, new Blob([text]).stream());
    }
    this.#answered();
  }

  #refuse(error: unknown): void {
    this.#release();
    this.#input = [];
    const known =
      error instanceof SysError ? error : new SysError("EIO", `cannot finish "${this.#name}"`);
    void this.#json(kind.error, known.toBody(this.#name));
  }

  /** The reply is complete; an upload that is still coming has no reader. */
  #answered(): void {
    if (!this.#stream.over) this.#stream.reset("answered");
  }
}

function parse(json: Buffer, name: string): unknown {
  if (json.length === 0) return {};
  try {
    return JSON.parse(json.toString("utf8"));
  } catch {
    throw new SysError("EINVAL", `cannot call "${name}": the input is not JSON`);
  }
}

function ndjson(lines: AsyncIterable<unknown>): ReadableStream<Uint8Array> {
  const iterator = lines[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        const { done, value } = await iterator.next();
        if (done) out.close();
        else out.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
