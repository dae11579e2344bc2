/**
 * A part of an S3 bucket as a read-only file system: what a key has before a slash is a directory.
 *
 * Rules
 * 1. The key is the replica's, read anew at each use: one that is replaced is used at once.
 * 2. Every wait for the store is bounded, and nothing is tried twice: a store that is away is EIO.
 * 3. What is read is the object that was found: one that was replaced meanwhile ends in an error.
 * 4. Keys that are no paths (an empty part, `.`, `..`) are not seen; where a key is a file and has
 *    others below it, it is the file.
 */
import type { Bytes } from "../../call.ts";
import { SysError } from "../../errno.ts";
import {
  basename,
  byCodePoint,
  contentTypeOf,
  type Filesystem,
  isDirectory,
  noEntry,
  type Page,
  PathError,
  type Stat,
} from "../../fs/mod.ts";
import type { Machine } from "../../machine.ts";
import type { Target } from "../store/mod.ts";
import { answerMsMax, keysMax, keysPerPage, listedMs } from "./limits.ts";

type Bucket = Extract<Target, { kind: "s3" }>;
type Range = { readonly offset: number; readonly length: number | null };

/** What the store says when it knows no such object, or refuses the key. */
const none = new Set(["NoSuchKey", "NotFound", "ENOENT"]);
const keyRefused = new Set([
  "AccessDenied",
  "Forbidden",
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "403",
]);

const codeOf = (error: unknown): string => String((error as { code?: unknown } | null)?.code ?? "");

const noAnswer = (): Error => Object.assign(new Error("no answer"), { code: "nothing in time" });

/** What a store refused, about a path. */
function refusal(error: unknown, action: string, path: string): unknown {
  if (error instanceof SysError) return error;
  const code = codeOf(error);
  if (keyRefused.has(code)) {
    const hint = "check what the replica's key may do in this bucket: fazt driver replica set";
    const about = { action, path, state: "the store refuses the key" };
    return new PathError("EACCES", about, { hint, cause: error });
  }
  const state = `the store says ${code || "nothing that is known"}`;
  const hint = "is the store there? fazt fs mounts";
  return new PathError("EIO", { action, path, state }, { hint, cause: error });
}

/** What is asked of a bucket, each answer waited for so long and no longer. */
export class BucketStore {
  readonly #machine: Machine;
  readonly #target: () => Bucket;

  constructor(machine: Machine, target: () => Bucket) {
    this.#machine = machine;
    this.#target = target;
  }

  #client(): { client: Bun.S3Client; base: string } {
    const { bucket, prefix, endpoint, region, keyId, secret } = this.#target();
    const key = { accessKeyId: keyId, secretAccessKey: secret };
    const at = endpoint === null ? {} : { endpoint };
    const client = new Bun.S3Client({ bucket, region, ...key, ...at });
    return { client, base: prefix === "" ? "" : `${prefix}/` };
  }

  async #bounded<T>(work: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = this.#machine.after(answerMsMax, () => late.reject(noAnswer()));
    return await Promise.race([work, late.promise]).finally(() => timer.cancel());
  }

  /** Size, time and version of an object; null when there is none. */
  async head(path: string): Promise<{ size: number; at: number; etag: string } | null> {
    const { client, base } = this.#client();
    try {
      const { size, lastModified, etag } = await this.#bounded(client.stat(base + path.slice(1)));
      return { size, at: lastModified.getTime(), etag };
    } catch (error) {
      if (none.has(codeOf(error))) return null;
      throw error;
    }
  }

  /** Whether any key lies below a directory. */
  async has(path: string): Promise<boolean> {
    const { client, base } = this.#client();
    const prefix = path === "/" ? base : `${base}${path.slice(1)}/`;
    const asked = { prefix, delimiter: "/", maxKeys: 1 };
    const { contents = [], commonPrefixes = [] } = (await this.#bounded(client.list(asked))) ?? {};
    return contents.length + commonPrefixes.length > 0;
  }

  /** Everything directly below a directory, in any order. EIO for more than can be held. */
  async entries(path: string): Promise<Stat[]> {
    const { client, base } = this.#client();
    const prefix = path === "/" ? base : `${base}${path.slice(1)}/`;
    const found = new Map<string, Stat>();
    const at = (name: string) => (path === "/" ? `/${name}` : `${path}/${name}`);
    for (let token: string | undefined, more = true; more; ) {
      const next = token === undefined ? {} : { continuationToken: token };
      const asked = { prefix, delimiter: "/", maxKeys: keysPerPage, ...next };
      const page = (await this.#bounded(client.list(asked))) ?? {};
      for (const { prefix: below } of page.commonPrefixes ?? []) {
        const name = below.slice(prefix.length, -1);
        if (isName(name) && !found.has(name)) found.set(name, directoryStat(at(name)));
      }
      for (const { key, size = 0, lastModified } of page.contents ?? []) {
        const name = key.slice(prefix.length);
        const modifiedAt = Date.parse(String(lastModified)) || 0;
        if (isName(name)) found.set(name, fileStat(at(name), size, modifiedAt));
      }
      if (found.size > keysMax) {
        const state = `more than ${keysMax} names`;
        throw new PathError(
          "EIO",
          { action: "list", path, state },
          { hint: "mount a longer prefix" },
        );
      }
      token = page.nextContinuationToken;
      more = page.isTruncated === true && token !== undefined;
    }
    return [...found.values()];
  }

  /** Bytes `start` to `end` of the object of this version, as they come. */
  async *read(
    path: string,
    range: { readonly start: number; readonly end: number; readonly etag: string },
  ): AsyncGenerator<Uint8Array> {
    const { client, base } = this.#client();
    const url = client.presign(base + path.slice(1), { method: "GET", expiresIn: 60 });
    const stalled = new AbortController();
    const watch = () => this.#machine.after(answerMsMax, () => stalled.abort());
    let timer = watch();
    try {
      const headers = { range: `bytes=${range.start}-${range.end - 1}`, "if-match": range.etag };
      const { signal } = stalled;
      const response = await fetch(url, { headers, signal, redirect: "error" });
      if (response.status !== 206 || response.headers.get("etag") !== range.etag) {
        await response.body?.cancel();
        const state = response.status === 206 || response.status === 412;
        throw Object.assign(new Error(), { code: state ? "it is another now" : response.status });
      }
      let left = range.end - range.start;
      for await (const piece of response.body ?? []) {
        timer.cancel();
        left -= piece.length;
        yield piece;
        timer = watch();
      }
      if (left !== 0) throw Object.assign(new Error(), { code: "less than it has" });
    } catch (error) {
      throw stalled.signal.aborted ? noAnswer() : error;
    } finally {
      timer.cancel();
      stalled.abort();
    }
  }
}

/** Whether a part of a key is a name of the tree. */
function isName(name: string): boolean {
  if (name === "" || name === "." || name === ".." || /[\0/]/.test(name)) return false;
  return Buffer.byteLength(name) <= 255;
}

const directoryStat = (path: string): Stat => {
  return { path, kind: "dir", sizeBytes: 0, modifiedAt: 0, hash: null, mode: 0o555 };
};

const fileStat = (path: string, sizeBytes: number, modifiedAt: number): Stat => {
  return { path, kind: "file", sizeBytes, modifiedAt, hash: null, mode: 0o444 };
};

export class BucketTree implements Filesystem {
  readonly readOnly = true;
  readonly #store: BucketStore;
  readonly #machine: Machine;
  /** The directory that was listed last, for the pages of a walk. */
  #listed: { readonly path: string; readonly untilMs: number; readonly all: Stat[] } | null = null;

  constructor(machine: Machine, store: BucketStore) {
    this.#machine = machine;
    this.#store = store;
  }

  async stat(path: string): Promise<Stat | null> {
    // A mount whose store is away is still a directory of the tree.
    if (path === "/") return null;
    try {
      const object = await this.#store.head(path);
      if (object !== null) return fileStat(path, object.size, object.at);
      return (await this.#store.has(path)) ? directoryStat(path) : null;
    } catch (error) {
      throw refusal(error, "describe", path);
    }
  }

  async ls(path: string, { after, limit }: Page): Promise<Stat[] | null> {
    try {
      const all = await this.#all(path);
      if (all.length === 0 && path !== "/" && !(await this.#store.has(path))) return null;
      const names = all.filter((stat) => byCodePoint(basename(stat.path), after) > 0);
      return names.slice(0, limit);
    } catch (error) {
      throw refusal(error, "list", path);
    }
  }

  async read(path: string, { offset, length }: Range): Promise<Bytes> {
    const object = await this.#found(path);
    const start = Math.min(offset, object.size);
    const end = length === null ? object.size : Math.min(object.size, start + length);
    const pieces = start === end ? empty() : this.#store.read(path, { start, end, ...object });
    return {
      stream: streamOf(pieces, path),
      sizeBytes: end - start,
      contentType: contentTypeOf(path),
    };
  }

  write(path: string): Promise<never> {
    return sealed("write", path);
  }

  mkdir(path: string): Promise<never> {
    return sealed("make directory", path);
  }

  mv(from: string): Promise<never> {
    return sealed("move", from);
  }

  rm(path: string): Promise<never> {
    return sealed("remove", path);
  }

  async #found(path: string): Promise<{ size: number; etag: string }> {
    try {
      const object = path === "/" ? null : await this.#store.head(path);
      if (object !== null) return object;
      const there = path === "/" || (await this.#store.has(path));
      throw there ? isDirectory("read", path) : noEntry("read", path);
    } catch (error) {
      throw refusal(error, "read", path);
    }
  }

  async #all(path: string): Promise<Stat[]> {
    const known = this.#listed;
    if (known?.path === path && known.untilMs > this.#machine.monotonicMs()) return known.all;
    const all = await this.#store.entries(path);
    all.sort((a, b) => byCodePoint(basename(a.path), basename(b.path)));
    this.#listed = { path, all, untilMs: this.#machine.monotonicMs() + listedMs };
    return all;
  }
}

async function sealed(action: string, path: string): Promise<never> {
  const about = { action, path, state: "a bucket is mounted read-only" };
  throw new PathError("EROFS", about, { hint: "write below /home or the app's /data" });
}

async function* empty(): AsyncGenerator<Uint8Array> {}

/** Pieces as a stream that asks for nothing before it is read. */
function streamOf(pieces: AsyncGenerator<Uint8Array>, path: string): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = await pieces.next();
          if (next.done === true) controller.close();
          else controller.enqueue(next.value);
        } catch (error) {
          throw refusal(error, "read", path);
        }
      },
      async cancel() {
        await pieces.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
