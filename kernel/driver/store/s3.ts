/**
 * A replica in an S3 bucket, through Amazon's own client, which is loaded when it is first needed
 * and only in the replicator's process (it takes 12 MB).
 *
 * Rules: one request is one request unless a restore asks for more tries (the scheduler backs off,
 * not the client); an object that breaks off is read on from where it did; payloads are signed
 * and have their length (B2, Hetzner, Scaleway); checksums only where S3 requires them (R2 and
 * older servers refuse them); conditional writes are asked for, and a server that does not know
 * them is looked at once more after the write.
 */
import type { S3Client } from "@aws-sdk/client-s3";
import { SysError } from "../../errno.ts";
import { sha256 } from "../format/mod.ts";
import type { ReplicaLimits } from "../limits.ts";
import type { ReplicaStore, StoredObject, Target, Versioned } from "./store.ts";

type Sdk = typeof import("@aws-sdk/client-s3");
type S3Target = Extract<Target, { kind: "s3" }>;
type StoreLimits = Pick<
  ReplicaLimits,
  | "requestMs"
  | "completeMs"
  | "bytesPerMsMin"
  | "flushBytesPerMsMin"
  | "partBytes"
  | "recordBytesMax"
  | "tryAgainMs"
>;

/** Keys one request removes (S3's limit is 1000). */
const removeMax = 1_000;

/** A store in this bucket; nothing is asked of it yet. */
export async function openS3Store(
  target: S3Target,
  limits: StoreLimits,
  tries = 1,
): Promise<ReplicaStore> {
  const sdk = await import("@aws-sdk/client-s3");
  const client = new sdk.S3Client({
    region: target.region,
    credentials: { accessKeyId: target.keyId, secretAccessKey: target.secret },
    ...(target.endpoint === null ? {} : { endpoint: target.endpoint, forcePathStyle: true }),
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  return new S3Store({ sdk, client, target, limits, tries });
}

interface Failure {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const statusOf = (error: unknown): number => (error as Failure).$metadata?.httpStatusCode ?? 0;

/** What the server (or the way to it) said, as an errno. */
function refusal(error: unknown, action: string): SysError {
  if (error instanceof SysError) return error;
  const { name = "", message = "" } = error as Failure;
  const status = statusOf(error);
  const text = `cannot ${action}: ${name === "" || name === "Error" ? message : name}`;
  const why = status === 0 ? text : `${text} (${status})`;
  const options = { cause: error };
  // Ours alone: the client also calls a connection that was reset one that timed out.
  if (name === "AbortError") {
    return new SysError("ETIMEDOUT", `cannot ${action}: no answer in time`, options);
  }
  if (name === "NoSuchBucket") {
    return new SysError("ENOENT", why, { ...options, hint: "make the bucket first" });
  }
  if (status === 404 || name === "NoSuchKey" || name === "NotFound") {
    return new SysError("ENOENT", why, options);
  }
  if (status === 401 || status === 403) {
    const hint = "check the key id, the secret, and what that key may do in this bucket";
    return new SysError("EACCES", why, { ...options, hint });
  }
  if (status === 429 || status === 503) return new SysError("EAGAIN", why, options);
  return new SysError("EIO", why, options);
}

interface Parts {
  readonly sdk: Sdk;
  readonly client: S3Client;
  readonly target: S3Target;
  readonly limits: StoreLimits;
  readonly tries: number;
}

/** What may be otherwise the next time. */
const passing = ({ code }: SysError): boolean => ["EIO", "EAGAIN", "ETIMEDOUT"].includes(code);

class S3Store implements ReplicaStore {
  readonly kind = "s3";
  readonly place: string;
  readonly #parts: Parts;
  readonly #base: string;
  readonly #bucket: { readonly Bucket: string };
  readonly #underWay = new Set<Waiting>();
  #pace: Pace;

  constructor(parts: Parts) {
    const { bucket, prefix } = parts.target;
    this.#parts = parts;
    this.#pace = parts.limits;
    this.#base = prefix === "" ? "" : `${prefix}/`;
    this.#bucket = { Bucket: bucket };
    this.place = `s3://${bucket}/${prefix}`;
  }

  /** Where an object is in the bucket. */
  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { ...this.#bucket, Key: `${this.#base}${key}` };
  }

  async #ask<T>(
    action: string,
    request: (signal: AbortSignal) => Promise<T>,
    { sentBytes = 0, moreMs = 0 } = {},
  ): Promise<T> {
    for (let tried = 1; ; tried++) {
      try {
        return await this.#once(request, { sentBytes, moreMs });
      } catch (error) {
        await this.#pauseOrRefuse(refusal(error, action), tried);
      }
    }
  }

  /** Waits before the next try; throws the refusal when there is none, or it would not help. */
  async #pauseOrRefuse(refused: SysError, tried: number): Promise<void> {
    const { tries, limits } = this.#parts;
    if (tried >= tries || !passing(refused)) throw refused;
    // tidy: allow banned-call: nothing else keeps the process of a restore alive meanwhile
    await Bun.sleep(limits.tryAgainMs * 2 ** (tried - 1));
  }

  /** One request within its time. A slow line is no broken one: what is larger may take longer. */
  async #once<T>(
    request: (signal: AbortSignal) => Promise<T>,
    { sentBytes = 0, moreMs = 0 } = {},
  ): Promise<T> {
    const waiting = new Waiting({ sentBytes, moreMs });
    waiting.atMost(this.#pace);
    this.#underWay.add(waiting);
    try {
      return await request(waiting.signal);
    } finally {
      this.#underWay.delete(waiting);
      waiting.end();
    }
  }

  hurry(requestMs: number): void {
    this.#pace = { requestMs, bytesPerMsMin: this.#parts.limits.flushBytesPerMsMin };
    for (const waiting of this.#underWay) waiting.atMost(this.#pace);
  }

  async probe(): Promise<void> {
    const key = "fazt/probe";
    const bytes = new TextEncoder().encode("fazt");
    await this.put(key, bytes);
    const found = await this.look(key);
    if (found === null || sha256(found.bytes) !== sha256(bytes)) {
      throw new SysError("EIO", `cannot use "${this.place}": it does not give back what it got`);
    }
    await this.remove([key]);
  }

  async *list(prefix: string, after?: string): AsyncGenerator<StoredObject> {
    const { sdk, client } = this.#parts;
    let token: string | undefined;
    do {
      const input = {
        ...this.#bucket,
        Prefix: `${this.#base}${prefix}`,
        ...(token === undefined ? {} : { ContinuationToken: token }),
        ...(after === undefined ? {} : { StartAfter: `${this.#base}${after}` }),
      };
      const page = await this.#ask(`list "${prefix}"`, (abortSignal) =>
        client.send(new sdk.ListObjectsV2Command(input), { abortSignal }),
      );
      for (const { Key = "", Size = 0, LastModified } of page.Contents ?? []) {
        const key = Key.slice(this.#base.length);
        yield { key, sizeBytes: Size, modifiedAt: LastModified?.getTime() ?? 0 };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async names(prefix: string): Promise<string[]> {
    const { sdk, client } = this.#parts;
    const base = `${this.#base}${prefix}`;
    const names: string[] = [];
    let token: string | undefined;
    do {
      const next = token === undefined ? {} : { ContinuationToken: token };
      const input = { ...this.#bucket, Prefix: base, Delimiter: "/", ...next };
      const page = await this.#ask(`list "${prefix}"`, (abortSignal) =>
        client.send(new sdk.ListObjectsV2Command(input), { abortSignal }),
      );
      for (const { Prefix = "" } of page.CommonPrefixes ?? []) names.push(Prefix);
      for (const { Key = "" } of page.Contents ?? []) names.push(Key);
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
    return names.map((name) => name.slice(base.length)).sort();
  }

  async *get(key: string): AsyncGenerator<Uint8Array> {
    let [read, tried] = [0, 0];
    for (;;) {
      try {
        for await (const piece of this.#getFrom(key, read)) {
          read += piece.length;
          tried = 0;
          yield piece;
        }
        return;
      } catch (error) {
        await this.#pauseOrRefuse(refusal(error, `read "${key}"`), ++tried);
      }
    }
  }

  /** An object's bytes from there on, in one request. */
  async *#getFrom(key: string, from: number): AsyncGenerator<Uint8Array> {
    const { sdk, client } = this.#parts;
    // The request's own time ends with its head: a large object takes as long as it takes, but
    // never stands still for longer.
    const stalled = new AbortController();
    const abortSignal = stalled.signal;
    let timer = setTimer(this.#pace.requestMs, () => stalled.abort());
    try {
      const input = { ...this.#at(key), ...(from > 0 && { Range: `bytes=${from}-` }) };
      const reply = await client.send(new sdk.GetObjectCommand(input), { abortSignal });
      const body = reply.Body as AsyncIterable<Uint8Array> | undefined;
      for await (const piece of body ?? []) {
        timer.cancel();
        yield piece;
        timer = setTimer(this.#pace.requestMs, () => stalled.abort());
      }
    } finally {
      timer.cancel();
      stalled.abort();
    }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const { sdk, client } = this.#parts;
    const input = { ...this.#at(key), Body: bytes, ContentLength: bytes.length };
    await this.#ask(
      `write "${key}"`,
      (abortSignal) => client.send(new sdk.PutObjectCommand(input), { abortSignal }),
      { sentBytes: bytes.length },
    );
  }

  async putStream(key: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const parts = inParts(pieces, this.#parts.limits.partBytes);
    const first = await parts.next();
    const second = await parts.next();
    if (second.done) return this.put(key, first.done ? new Uint8Array(0) : first.value);
    await this.#multipart(key, [first.value ?? new Uint8Array(0), second.value], parts);
  }

  async #multipart(key: string, first: Uint8Array[], rest: AsyncIterable<Uint8Array>) {
    const { sdk, client, limits } = this.#parts;
    const at = this.#at(key);
    const action = `write "${key}"`;
    const begun = await this.#ask(action, (abortSignal) =>
      client.send(new sdk.CreateMultipartUploadCommand(at), { abortSignal }),
    );
    const upload = { ...at, UploadId: begun.UploadId ?? "" };
    const done: { PartNumber: number; ETag: string | undefined }[] = [];
    const send = async (Body: Uint8Array) => {
      const PartNumber = done.length + 1;
      const input = { ...upload, PartNumber, Body, ContentLength: Body.length };
      const reply = await this.#ask(
        action,
        (abortSignal) => client.send(new sdk.UploadPartCommand(input), { abortSignal }),
        { sentBytes: Body.length },
      );
      done.push({ PartNumber, ETag: reply.ETag });
    };
    try {
      for (const part of first) await send(part);
      for await (const part of rest) await send(part);
      const input = { ...upload, MultipartUpload: { Parts: done } };
      await this.#ask(
        action,
        (abortSignal) =>
          client.send(new sdk.CompleteMultipartUploadCommand(input), { abortSignal }),
        { moreMs: limits.completeMs },
      );
    } catch (error) {
      // The parts would be kept and paid for; when even this fails the bucket's own rules clean up.
      await this.#once((abortSignal) =>
        client.send(new sdk.AbortMultipartUploadCommand(upload), { abortSignal }),
      ).catch(() => {});
      throw error;
    }
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += removeMax) {
      const some = keys.slice(at, at + removeMax);
      if (some.length > 1 && (await this.#removeAtOnce(some))) continue;
      for (const key of some) await this.#removeOne(key);
    }
  }

  async #removeOne(key: string): Promise<void> {
    const { sdk, client } = this.#parts;
    await this.#ask(`remove "${key}"`, (abortSignal) =>
      client.send(new sdk.DeleteObjectCommand(this.#at(key)), { abortSignal }),
    );
  }

  /** False when the server does not know how, or has not removed all of them. */
  async #removeAtOnce(keys: readonly string[]): Promise<boolean> {
    const { sdk, client } = this.#parts;
    const Objects = keys.map((key) => ({ Key: this.#at(key).Key }));
    const input = { ...this.#bucket, Delete: { Objects, Quiet: true } };
    try {
      const reply = await this.#ask("remove objects", (abortSignal) =>
        client.send(new sdk.DeleteObjectsCommand(input), { abortSignal }),
      );
      return (reply.Errors ?? []).length === 0;
    } catch (error) {
      // Whatever it is, one by one it either works or is told better.
      if (error instanceof SysError && error.code === "EIO") return false;
      throw error;
    }
  }

  async look(key: string): Promise<Versioned | null> {
    const { sdk, client, limits } = this.#parts;
    try {
      return await this.#ask(`read "${key}"`, async (abortSignal) => {
        const reply = await client.send(new sdk.GetObjectCommand(this.#at(key)), { abortSignal });
        if ((reply.ContentLength ?? 0) > limits.recordBytesMax) {
          throw new SysError("EBADMSG", `cannot read "${key}": too large for what it should be`);
        }
        const bytes = (await reply.Body?.transformToByteArray()) ?? new Uint8Array(0);
        return { bytes, version: reply.ETag ?? "" };
      });
    } catch (error) {
      if (error instanceof SysError && error.code === "ENOENT") return null;
      throw error;
    }
  }

  async swap(key: string, bytes: Uint8Array, version: string | null): Promise<boolean> {
    const { sdk, client } = this.#parts;
    const before = await this.look(key);
    if ((before?.version ?? null) !== version) return false;
    const condition = version === null ? { IfNoneMatch: "*" } : { IfMatch: version };
    const input = { ...this.#at(key), Body: bytes, ContentLength: bytes.length, ...condition };
    try {
      await this.#once(
        (abortSignal) => client.send(new sdk.PutObjectCommand(input), { abortSignal }),
        { sentBytes: bytes.length },
      );
    } catch (error) {
      if (statusOf(error) === 412 || statusOf(error) === 409) return false;
      if (statusOf(error) !== 501) throw refusal(error, `write "${key}"`);
      await this.put(key, bytes);
    }
    const after = await this.look(key);
    return after !== null && sha256(after.bytes) === sha256(bytes);
  }

  close(): void {
    this.#parts.client.destroy();
  }
}

/** How long requests may take: each so long, and what it sends at the slowest line that counts. */
interface Pace {
  readonly requestMs: number;
  readonly bytesPerMsMin: number;
}

/** The time of one request; it can only get shorter while it is under way. */
class Waiting {
  readonly #given = new AbortController();
  readonly #sentBytes: number;
  readonly #moreMs: number;
  readonly #timers: { cancel(): void }[] = [];

  /** `moreMs`: what the store may take beside. */
  constructor({ sentBytes, moreMs }: { readonly sentBytes: number; readonly moreMs: number }) {
    this.#sentBytes = sentBytes;
    this.#moreMs = moreMs;
  }

  get signal(): AbortSignal {
    return this.#given.signal;
  }

  /** Gives up when its time at this pace has passed from now. */
  atMost({ requestMs, bytesPerMsMin }: Pace): void {
    const bytesMs = Math.ceil(this.#sentBytes / bytesPerMsMin);
    const give = () => this.#given.abort();
    this.#timers.push(setTimer(requestMs + bytesMs + this.#moreMs, give));
  }

  end(): void {
    for (const timer of this.#timers) timer.cancel();
  }
}

function setTimer(delayMs: number, run: () => void): { cancel(): void } {
  const timer = AbortSignal.timeout(delayMs);
  timer.addEventListener("abort", run);
  return { cancel: () => timer.removeEventListener("abort", run) };
}

/** The same bytes in parts of one size, the last one smaller. */
async function* inParts(
  pieces: AsyncIterable<Uint8Array>,
  partBytes: number,
): AsyncGenerator<Uint8Array, undefined> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + partBytes - heldBytes);
      held.push(part);
      heldBytes += part.length;
      at += part.length;
      if (heldBytes < partBytes) continue;
      yield Buffer.concat(held);
      held = [];
      heldBytes = 0;
    }
  }
  if (heldBytes > 0) yield Buffer.concat(held);
  return undefined;
}
