/**
 * One fetch of an app from its first request to the end of its last answer's body: the chain of
 * redirects, each link judged, budgeted and connected anew.
 *
 * Rules: the place in the budget is given back exactly when the body has ended, failed or been
 * canceled; a body that stands still is cut; what is kept for a redirect is bounded.
 */
import type { App, Release } from "../../app/mod.ts";
import { SysError } from "../../errno.ts";
import type { Budgets, Ticket } from "./budget.ts";
import { type AnswerCache, freshMs, isPlain, type Kept } from "./cache.ts";
import { type Connector, send } from "./connect.ts";
import type { EgressAnswer, EgressRequest } from "./egress.ts";
import {
  cachedBodyBytesMax,
  egressStallMsMax,
  headerCharsMax,
  headersMax,
  redirectsMax,
  replayBytesMax,
} from "./limits.ts";
import { targetOf } from "./pattern.ts";
import { type Hop, nextHop } from "./redirect.ts";
import { type Filled, fill, type HeaderLines, type Secret } from "./secret.ts";

export interface ChainParts {
  readonly connector: Connector;
  readonly budgets: Budgets;
  readonly cache: AnswerCache;
  /** EACCES unless the app may reach the host. */
  judge(app: App, release: Release, url: URL): { near: boolean };
  secrets(appId: string): readonly Secret[];
  note(app: App, text: string, level: "info" | "warn"): void;
}

type Body = Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;

/** Headers a client of HTTP/1.1 sets by itself, or that speak to one hop only (RFC 9110, 7.6.1). */
const ofTheConnection =
  /^(host|connection|content-length|transfer-encoding|upgrade|keep-alive|te|trailer|expect|proxy-.*)$/i;

/** The request as asked for, checked. EINVAL. Pure. */
function readRequest({ url: text, method, headers }: EgressRequest): {
  url: URL;
  headers: HeaderLines;
} {
  const url = URL.parse(text);
  const shown = JSON.stringify(text.slice(0, 200));
  const refuse = (state: string, hint: string): never => {
    throw new SysError("EINVAL", `cannot fetch ${shown}: ${state}`, { hint });
  };
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return refuse("not an http or https URL", "give a whole URL, such as https://api.example.org/");
  }
  if (url.username !== "" || url.password !== "") {
    refuse("credentials in the URL", "send an Authorization header");
  }
  if (/^(connect|trace|track)$/i.test(method)) refuse(`the method ${method}`, "use another method");
  const chars = headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (headers.length > headersMax || chars > headerCharsMax) {
    refuse("too many headers", `at most ${headersMax}, of ${headerCharsMax} characters in all`);
  }
  return { url, headers: headers.filter(([name]) => !ofTheConnection.test(name)) };
}

/** Reads a body into memory as long as it is small; else hands it on as a stream. */
async function replayable(stream: ReadableStream<Uint8Array>): Promise<Body> {
  const reader = stream.getReader();
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  while (bytes <= replayBytesMax) {
    const { done, value } = await reader.read();
    if (done) return bytes === 0 ? null : new Uint8Array(Buffer.concat(pieces, bytes));
    pieces.push(value);
    bytes += value.byteLength;
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        const first = pieces.shift();
        if (first !== undefined) return out.enqueue(first);
        const { done, value } = await reader.read();
        if (done) out.close();
        else out.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

export class Chain {
  readonly #parts: ChainParts;
  readonly #app: App;
  readonly #release: Release;
  readonly #request: EgressRequest;
  readonly #startedAt: number;

  constructor(parts: ChainParts, on: { app: App; release: Release; request: EgressRequest }) {
    this.#parts = parts;
    this.#app = on.app;
    this.#release = on.release;
    this.#request = on.request;
    this.#startedAt = parts.connector.machine.monotonicMs();
  }

  async run(): Promise<EgressAnswer> {
    const request = this.#request;
    const { url, headers } = readRequest(request);
    const first: Hop = { url, method: request.method.toUpperCase(), headers, body: true };
    const ticket = this.#enter(first.url);
    try {
      const plain = first.method === "GET" || first.method === "HEAD";
      const body = plain ? null : await replayable(request.body);
      return await this.#follow(first, body, ticket);
    } catch (error) {
      ticket.leave();
      const { code } = error as { code?: string };
      this.#parts.note(this.#app, `${first.method} ${url.host} ${code ?? "failed"}`, "warn");
      throw error;
    }
  }

  /** Refusals of the policy cost no place; they are told in the app's log all the same. */
  #enter(url: URL): Ticket {
    try {
      this.#parts.judge(this.#app, this.#release, url);
    } catch (error) {
      this.#parts.note(this.#app, `${this.#request.method} ${url.host} refused`, "warn");
      throw error;
    }
    return this.#parts.budgets.enter(this.#app.id);
  }

  async #follow(first: Hop, body: Body, ticket: Ticket): Promise<EgressAnswer> {
    const { redirect } = this.#request;
    let hop = first;
    for (let count = 0; ; count++) {
      const { near } = this.#parts.judge(this.#app, this.#release, hop.url);
      const filled = this.#fill(hop, count === 0);
      const key = `${this.#app.id} ${hop.url.href}`;
      const cacheable =
        this.#request.cache === "default" && !filled.used && isPlain(hop.method, hop.headers);
      const kept = cacheable ? this.#cached(key, filled) : null;
      if (kept !== null) return this.#fromCache(kept, { hop, redirected: count > 0, ticket });
      const sent = hop.body ? body : null;
      const { signal } = this.#request;
      const { method, url } = hop;
      const out = { url, method, headers: filled.lines, body: counted(sent, ticket), near, signal };
      const answer = await send(this.#parts.connector, out);
      const location = answer.headers.get("location");
      const next = nextHop(hop, { status: answer.status, location });
      if (next === null || redirect === "manual") {
        const about = { hop, redirected: count > 0, ticket };
        return this.#deliver(answer, about, cacheable ? { key, filled } : null);
      }
      await answer.body?.cancel();
      hop = this.#redirected(next, { count, streamed: sent instanceof ReadableStream });
    }
  }

  #redirected(next: Hop | string, { count, streamed }: { count: number; streamed: boolean }): Hop {
    const refuse = (state: string): never => {
      throw new SysError(
        "EIO",
        `cannot fetch from "${this.#request.url.slice(0, 200)}": ${state}`,
        {
          hint: 'look at each answer with redirect: "manual"',
        },
      );
    };
    if (this.#request.redirect === "error") return refuse("it redirects");
    if (typeof next === "string") return refuse(next);
    if (count >= redirectsMax) return refuse(`more than ${redirectsMax} redirects`);
    if (next.body && streamed) return refuse("it redirects a streamed body");
    return next;
  }

  #fill(hop: Hop, isFirst: boolean): Filled {
    const target = targetOf(hop.url);
    const filled = fill(hop.headers, this.#parts.secrets(this.#app.id), target);
    const [missing] = filled.hidden;
    if (!isFirst || missing === undefined) return filled;
    const { host } = target;
    throw new SysError("EACCES", `cannot send secret "${missing}" to "${host}": not given for it`, {
      hint: `fazt net egress allow ${this.#app.name} ${host} --secret-name ${missing} --secret-file FILE`,
    });
  }

  #cached(key: string, filled: Filled): Kept | null {
    const { machine } = this.#parts.connector;
    return this.#parts.cache.get(key, new Headers(filled.lines), machine.now());
  }

  #fromCache(
    kept: Kept,
    { hop, redirected, ticket }: { hop: Hop; redirected: boolean; ticket: Ticket },
  ): EgressAnswer {
    ticket.leave();
    const { status, statusText, headers, body } = kept;
    this.#note(hop, status, `${body.byteLength} bytes, cached,`);
    const head = { url: hop.url.href, redirected, status, statusText, headers };
    return { head, body: new Blob([body]).stream() };
  }

  #deliver(
    answer: Response,
    { hop, redirected, ticket }: { hop: Hop; redirected: boolean; ticket: Ticket },
    keep: { key: string; filled: Filled } | null,
  ): EgressAnswer {
    const { status, statusText } = answer;
    const headers = [...answer.headers].filter(([name]) => !ofTheConnection.test(name));
    const head = { url: hop.url.href, redirected, status, statusText, headers };
    const fresh = keep === null ? 0 : freshMs(status, answer.headers);
    const whole: Uint8Array[] | null = fresh > 0 ? [] : null;
    const done = (bytes: number, complete: boolean) => {
      ticket.leave();
      this.#note(hop, status, `${bytes} bytes${complete ? "" : ", cut,"}`);
      if (keep === null || whole === null || !complete || bytes > cachedBodyBytesMax) return;
      const body = new Uint8Array(Buffer.concat(whole));
      const now = this.#parts.connector.machine.now();
      const about = { asked: new Headers(keep.filled.lines), now, freshMs: fresh };
      this.#parts.cache.put(keep.key, { status, statusText, headers, body }, about);
    };
    if (answer.body === null) {
      done(0, true);
      return { head, body: null };
    }
    return { head, body: this.#watched(answer.body, { ticket, whole, done }) };
  }

  /** The body as it comes, counted, timed, and noticed when it ends. */
  #watched(
    body: ReadableStream<Uint8Array>,
    on: { ticket: Ticket; whole: Uint8Array[] | null; done(bytes: number, whole: boolean): void },
  ): ReadableStream<Uint8Array> {
    const { machine } = this.#parts.connector;
    const reader = body.getReader();
    let bytes = 0;
    // Whoever lets go of a body ends the read that waits for it, which then looks like the end.
    let over = false;
    const end = (whole: boolean) => {
      if (over) return;
      over = true;
      on.done(bytes, whole);
    };
    const cut = (out: ReadableStreamDefaultController<Uint8Array>, error: SysError) => {
      if (over) return;
      end(false);
      // The peer is let go; that it may object changes nothing.
      reader.cancel(error).catch(() => undefined);
      out.error(error);
    };
    return new ReadableStream<Uint8Array>(
      {
        pull: async (out) => {
          const stalled = new SysError("ETIMEDOUT", "cannot read the answer: it stands still");
          const timer = machine.after(egressStallMsMax, () => cut(out, stalled));
          try {
            const { done, value } = await reader.read();
            if (over) return;
            if (done) {
              end(true);
              out.close();
              return;
            }
            bytes += value.byteLength;
            if (on.whole !== null && bytes <= cachedBodyBytesMax) on.whole.push(value);
            if (on.ticket.spend(value.byteLength)) out.enqueue(value);
            else
              cut(out, new SysError("EDQUOT", "cannot read the answer: today's bytes are used up"));
          } catch (cause) {
            cut(
              out,
              new SysError("EIO", "cannot read the answer: the connection broke", { cause }),
            );
          } finally {
            timer.cancel();
          }
        },
        cancel: async (reason) => {
          end(false);
          await reader.cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  #note({ method, url }: Hop, status: number, what: string): void {
    const ms = Math.round(this.#parts.connector.machine.monotonicMs() - this.#startedAt);
    const text = `${method} ${url.host} ${status} ${what} ${ms} ms`;
    this.#parts.note(this.#app, text, "info");
  }
}

/** Counts what is sent. */
function counted(body: Body, ticket: Ticket): Body {
  if (body === null) return null;
  if (body instanceof Uint8Array) {
    ticket.spend(body.byteLength);
    return body;
  }
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform: (piece, out) => {
      if (ticket.spend(piece.byteLength)) out.enqueue(piece);
      else out.error(new SysError("EDQUOT", "cannot send the body: today's bytes are used up"));
    },
  });
  return body.pipeThrough(count);
}
