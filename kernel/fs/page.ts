/**
 * A page: one file of a site as HTTP sends it, with its renditions (the file and its compressed
 * variants) and their headers made beforehand.
 *
 * Rules: the hot path (GET, no conditions, no range, body in the cache) allocates one Response and
 * looks nothing up but the request's own headers; every rendition has its own strong ETag, made
 * from the hash of its own bytes; a body over 5 MB is never cached and goes out by chunk.
 */

import type { Blobs, Hash } from "./fs.ts";
import {
  type ByteRange,
  type Coding,
  choose,
  codings,
  contentRange,
  type Encoding,
  evaluate,
  parseRange,
  partHead,
  partsTail,
  rangeApplies,
} from "./http.ts";
import { limits } from "./limits.ts";

/** A place in the cache. Holders set `hit` when they use the value. */
export interface Slot<T> {
  value: T | null;
  hit: boolean;
}

interface Kept<T> extends Slot<T> {
  readonly sizeBytes: number;
}

export interface Lru<T> {
  get(key: string): Slot<T> | null;
  /** Keeps a value, evicting others; the slot's value is null at once when it cannot be kept. */
  set(key: string, value: T, sizeBytes: number): Slot<T>;
  bytes(): number;
  /** Keeps at most this many bytes from now on; what is over goes now. */
  bound(bytesMax: number): void;
}

/** An empty cache of at most `bytesMax`. */
export function createLru<T>(bytesAtFirst: number): Lru<T> {
  let bytesMax = bytesAtFirst;
  const slots = new Map<string, Kept<T>>();
  let total = 0;

  const drop = (key: string, slot: Kept<T>): void => {
    slots.delete(key);
    slot.value = null;
    total -= slot.sizeBytes;
  };

  const makeRoom = (sizeBytes: number): void => {
    while (total + sizeBytes > bytesMax) {
      const oldest = slots.entries().next();
      if (oldest.done) return;
      const [key, slot] = oldest.value;
      if (!slot.hit) {
        drop(key, slot);
        continue;
      }
      slot.hit = false;
      slots.delete(key);
      slots.set(key, slot);
    }
  };

  return {
    get: (key) => slots.get(key) ?? null,
    set(key, value, sizeBytes) {
      const before = slots.get(key);
      if (before !== undefined) drop(key, before);
      if (sizeBytes > bytesMax) return { value: null, hit: false };
      makeRoom(sizeBytes);
      const slot: Kept<T> = { value, hit: false, sizeBytes };
      slots.set(key, slot);
      total += sizeBytes;
      return slot;
    },
    bytes: () => total,
    bound(bytes) {
      bytesMax = bytes;
      makeRoom(0);
    },
  };
}

/** A map that forgets its oldest entry when it is full, and takes none of a long key. */
export function remember<T>(map: Map<string, T>, entry: [string, T], max: number): void {
  if (entry[0].length > limits.siteKeyCharsMax) return;
  if (map.size >= max) {
    const oldest = map.keys().next();
    if (!oldest.done) map.delete(oldest.value);
  }
  map.set(entry[0], entry[1]);
}

/** What sends pages: shared by all sites. */
export interface PageContext {
  readonly blobs: Blobs;
  readonly cache: Lru<Blob>;
  /** A text no file holds, for the boundary of multipart bodies. */
  boundary(): string;
}

/** What a page is made of. */
export interface PageFile {
  readonly hash: Hash;
  readonly sizeBytes: number;
  readonly contentType: string;
  readonly modifiedAt: number;
  /** Cache-Control and what the site's header rules add; names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Whether the answer depends on Accept-Encoding, now or once a variant is made. */
  readonly negotiable: boolean;
}

/** Bytes that may be sent for a page. */
export interface Rendition {
  readonly encoding: Encoding;
  readonly hash: Hash;
  readonly sizeBytes: number;
}

/** A rendition with what its answers need. */
interface Ready extends Rendition {
  readonly etag: string;
  readonly init: { readonly headers: Headers; readonly status: number };
  slot: Slot<Blob>;
}

const unloaded: Slot<Blob> = { value: null, hit: false };

export class Page {
  readonly file: PageFile;
  /** `VariantStore.generation` when the renditions were looked up. */
  readonly generation: number;
  readonly #context: PageContext;
  readonly #want: (coding: Coding) => void;
  readonly #ready = new Map<Encoding, Ready>();
  readonly #available: readonly Coding[];
  readonly #choices = new Map<string, Ready | null>();
  readonly #identity: Ready;

  constructor(
    context: PageContext,
    file: PageFile,
    state: {
      renditions: readonly Rendition[];
      generation: number;
      want: (coding: Coding) => void;
    },
  ) {
    this.#context = context;
    this.file = file;
    this.generation = state.generation;
    this.#want = state.want;
    this.#identity = this.#prepare({ ...file, encoding: "identity" });
    for (const rendition of state.renditions) {
      this.#ready.set(rendition.encoding, this.#prepare(rendition));
    }
    this.#available = codings.filter((coding) => this.#ready.has(coding));
  }

  /** The answer to a GET or HEAD of this page. */
  answer(request: Request): Response {
    const headers = request.headers;
    const ready = this.file.negotiable
      ? this.#choose(headers.get("accept-encoding"))
      : this.#identity;
    if (ready === null) return notAcceptable();
    if (
      request.method === "GET" &&
      headers.get("if-none-match") === null &&
      headers.get("if-modified-since") === null &&
      headers.get("range") === null &&
      headers.get("if-match") === null &&
      headers.get("if-unmodified-since") === null
    ) {
      return this.#whole(ready);
    }
    return this.#careful(request, ready);
  }

  /** Bytes of the body of a whole answer. */
  sizeOf({ headers }: Request): number | null {
    if (!this.file.negotiable) return this.#identity.sizeBytes;
    return this.#choose(headers.get("accept-encoding"))?.sizeBytes ?? null;
  }

  /** The page's bytes with another status, such as 404; conditions and ranges do not apply. */
  answerAs(status: number, request: Request): Response {
    const negotiated = this.file.negotiable
      ? this.#choose(request.headers.get("accept-encoding"))
      : this.#identity;
    const ready = negotiated ?? this.#identity;
    const headers = new Headers(ready.init.headers);
    for (const name of ["etag", "last-modified", "accept-ranges"]) headers.delete(name);
    headers.set("cache-control", "no-cache");
    const answer = { ...ready, init: { headers, status } };
    return request.method === "HEAD" ? head(answer) : this.#whole(answer);
  }

  #choose(field: string | null): Ready | null {
    if (field === null) return this.#identity;
    const known = this.#choices.get(field);
    if (known !== undefined) return known;
    const best = choose(field, codings);
    if (best !== null && best !== "identity" && !this.#ready.has(best)) this.#want(best);
    const encoding = choose(field, this.#available);
    const ready =
      encoding === "identity" ? this.#identity : this.#ready.get(encoding ?? "identity");
    const answer = encoding === null ? null : (ready ?? this.#identity);
    remember(this.#choices, [field, answer], limits.pageChoicesMax);
    return answer;
  }

  #prepare(rendition: Rendition): Ready {
    const { encoding, hash, sizeBytes } = rendition;
    const suffix = encoding === "identity" ? "" : `-${encoding}`;
    const etag = `"${hash.slice(0, 32)}${suffix}"`;
    const headers = new Headers({
      "content-type": this.file.contentType,
      etag,
      "last-modified": new Date(this.file.modifiedAt).toUTCString(),
      "accept-ranges": "bytes",
      "x-content-type-options": "nosniff",
    });
    for (const [name, value] of this.file.headers) headers.set(name, value);
    if (encoding !== "identity") headers.set("content-encoding", encoding);
    if (this.file.negotiable) headers.set("vary", "Accept-Encoding");
    return { encoding, hash, sizeBytes, etag, init: { headers, status: 200 }, slot: unloaded };
  }

  #whole(ready: Ready): Response {
    const body = ready.slot.value ?? this.#load(ready);
    if (body === null) return this.#streamed(ready);
    ready.slot.hit = true;
    return new Response(body, ready.init);
  }

  /** The body from the shared cache, or into it; null when it is too large to be there. */
  #load(ready: Ready): Blob | null {
    if (ready.sizeBytes > limits.cachedBytesMax) return null;
    const { cache, blobs } = this.#context;
    const slot = cache.get(ready.hash);
    if (slot?.value) {
      ready.slot = slot;
      return slot.value;
    }
    const body = new Blob([blobs.bytes(ready.hash)]);
    ready.slot = cache.set(ready.hash, body, ready.sizeBytes);
    return body;
  }

  #streamed(ready: Ready): Response {
    const headers = new Headers(ready.init.headers);
    headers.set("content-length", String(ready.sizeBytes));
    return new Response(this.#context.blobs.open(ready.hash).stream, { ...ready.init, headers });
  }

  #careful(request: Request, ready: Ready): Response {
    const { headers } = request;
    const validators = { etag: ready.etag, modifiedAt: this.file.modifiedAt };
    const verdict = evaluate(headers, validators);
    if (verdict === "failed") return bare(412, ready);
    if (verdict === "not-modified") return notModified(ready);
    if (request.method === "HEAD") return head(ready);
    const range = headers.get("range");
    if (range === null || !rangeApplies(headers.get("if-range"), validators)) {
      return this.#whole(ready);
    }
    const answer = parseRange(range, ready.sizeBytes);
    if (answer.kind === "whole") return this.#whole(ready);
    if (answer.kind === "unsatisfiable") return unsatisfiable(ready);
    const [only, ...more] = answer.parts;
    if (only !== undefined && more.length === 0) return this.#part(ready, only);
    return this.#parts(ready, answer.parts);
  }

  #part(ready: Ready, range: ByteRange): Response {
    const headers = new Headers(ready.init.headers);
    headers.set("content-range", contentRange(range, ready.sizeBytes));
    headers.set("content-length", String(range.end - range.start));
    const body = ready.slot.value ?? this.#load(ready);
    if (body !== null) {
      ready.slot.hit = true;
      return new Response(body.slice(range.start, range.end), { status: 206, headers });
    }
    const { stream } = this.#context.blobs.open(ready.hash, windowOf(range));
    return new Response(stream, { status: 206, headers });
  }

  #parts(ready: Ready, ranges: readonly ByteRange[]): Response {
    const boundary = this.#context.boundary();
    const of = { sizeBytes: ready.sizeBytes, contentType: this.file.contentType, boundary };
    const headers = new Headers(ready.init.headers);
    headers.set("content-type", `multipart/byteranges; boundary=${boundary}`);
    const body = ready.slot.value ?? this.#load(ready);
    if (body !== null) {
      const parts = ranges.flatMap((range) => [
        partHead(range, of),
        body.slice(range.start, range.end),
      ]);
      return new Response(new Blob([...parts, partsTail(boundary)]), { status: 206, headers });
    }
    const { blobs } = this.#context;
    const pieces = ranges.flatMap((range) => [
      () => new Blob([partHead(range, of)]).stream(),
      () => blobs.open(ready.hash, windowOf(range)).stream,
    ]);
    const tail = (): ReadableStream<Uint8Array> => new Blob([partsTail(boundary)]).stream();
    return new Response(chain([...pieces, tail]), { status: 206, headers });
  }
}

function windowOf(range: ByteRange): { offset: number; length: number } {
  return { offset: range.start, length: range.end - range.start };
}

/** Streams one after another, each opened when the one before has ended. */
function chain(pieces: readonly (() => ReadableStream<Uint8Array>)[]): ReadableStream<Uint8Array> {
  const source = (async function* () {
    for (const open of pieces) yield* open();
  })();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await source.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await source.return();
      },
    },
    { highWaterMark: 0 },
  );
}

function head(ready: Ready): Response {
  const headers = new Headers(ready.init.headers);
  headers.set("content-length", String(ready.sizeBytes));
  return new Response(null, { ...ready.init, headers });
}

function notModified(ready: Ready): Response {
  const headers = new Headers(ready.init.headers);
  for (const name of ["content-type", "content-encoding", "accept-ranges"]) headers.delete(name);
  return new Response(null, { status: 304, headers });
}

function unsatisfiable(ready: Ready): Response {
  const answer = bare(416, ready);
  answer.headers.set("content-range", `bytes */${ready.sizeBytes}`);
  return answer;
}

function bare(status: number, ready: Ready): Response {
  const headers = { etag: ready.etag, "x-content-type-options": "nosniff" };
  return new Response(null, { status, headers });
}

function notAcceptable(): Response {
  return new Response("None of the encodings you accept is available.\n", {
    status: 406,
    headers: { "content-type": "text/plain; charset=utf-8", vary: "Accept-Encoding" },
  });
}
