/**
 * An app as frames, for a cartridge: its current release, environment, files, pairs, documents. The
 * volume is added by the process that writes the file. Nothing is held but one part at a time; what
 * changes meanwhile is taken as it is when its turn comes.
 */
import { localOwner } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import type { Fs } from "../../fs/mod.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import type { App, Apps, Release } from "../app.ts";
import type { Environment } from "../env.ts";
import { encodeFrame, type Frame, partBytesMax } from "./frame.ts";

export interface ExportParts {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly fs: Fs;
  readonly env: Pick<Environment, "ls">;
  readonly release: Apps["release"];
}

/** What is exported, and by which version of fazt. */
export interface Exported {
  readonly app: App;
  readonly fazt: string;
}

const partCount = (sizeBytes: number): number => Math.ceil(sizeBytes / partBytesMax);

/** In parts of one size but the last, as `partCount` counts them, however the stream is cut. */
async function* parts(stream: ReadableStream<Uint8Array>): AsyncGenerator<Frame> {
  let part = new Uint8Array(partBytesMax);
  let held = 0;
  for await (const piece of stream) {
    for (let at = 0; at < piece.length; ) {
      const some = piece.subarray(at, at + partBytesMax - held);
      part.set(some, held);
      at += some.length;
      held += some.length;
      if (held < partBytesMax) continue;
      yield { kind: "part", bytes: part };
      part = new Uint8Array(partBytesMax);
      held = 0;
    }
  }
  if (held > 0) yield { kind: "part", bytes: part.subarray(0, held) };
}

async function* releaseFrames({ fs }: ExportParts, release: Release): AsyncGenerator<Frame> {
  for (const file of fs.manifests.list(release.id)) {
    const { path, mode, hash, sizeBytes: size } = file;
    yield { kind: "file", item: { path, mode, size, hash, parts: partCount(size) } };
    yield* parts(fs.blobs.open(hash).stream);
  }
}

async function* dataFrames({ fs }: ExportParts, app: App): AsyncGenerator<Frame> {
  const root = `/data/${app.name}`;
  const owner = localOwner("boot");
  for await (const found of fs.walk(owner, root, new AbortController().signal)) {
    if (found.path === root) continue;
    const { kind, hash } = found;
    const path = found.path.slice(root.length);
    const content = hash === null ? null : fs.blobs.open(hash);
    const size = content?.sizeBytes ?? 0;
    yield { kind: "entry", item: { path, kind, size, hash, parts: partCount(size) } };
    if (content !== null) yield* parts(content.stream);
  }
}

function* pairFrames({ storage }: ExportParts, app: App): Generator<Frame> {
  const scope = { appId: app.id, userId: null };
  for (let after = ""; ; ) {
    const page = storage.kv.ls(scope, { after });
    for (const { key, value, expiresAt } of page) {
      yield { kind: "pair", item: { key, value: JSON.stringify(value), expires_at: expiresAt } };
      after = key;
    }
    if (page.length === 0) return;
  }
}

async function* documentFrames({ storage }: ExportParts, app: App): AsyncGenerator<Frame> {
  const scope = { appId: app.id, userId: null };
  for (const { collection, field } of storage.docs.indexes(scope)) {
    yield { kind: "doc_index", item: { collection, field } };
  }
  for (const collection of storage.docs.collections(scope)) {
    for (let cursor: string | undefined; ; ) {
      const page = await storage.docs.find(scope, { collection, cursor });
      for (const { id, doc } of page.entries) {
        yield { kind: "doc", item: { collection, id, doc: JSON.stringify(doc) } };
      }
      if (page.cursor === null) break;
      cursor = page.cursor;
    }
  }
}

/** Everything of an app, in the order of the format. ENOENT when it was never deployed. */
export async function* exportFrames(on: ExportParts, what: Exported): AsyncGenerator<Frame> {
  const { app, fazt } = what;
  if (app.releaseId === null) {
    throw new SysError("ENOENT", `cannot export "${app.name}": it has no release`, {
      hint: "deploy it first",
    });
  }
  const release = on.release(app.releaseId);
  const { message } = release;
  const manifest = JSON.stringify(release.manifest);
  const createdAt = on.machine.now();
  yield { kind: "meta", item: { fazt, createdAt, name: app.name, message, manifest } };
  yield* releaseFrames(on, release);
  for (const { name, secret, value } of on.env.ls(app.id)) {
    yield { kind: "env", item: { name, secret: secret ? 1 : 0, value } };
  }
  yield* dataFrames(on, app);
  yield* pairFrames(on, app);
  yield* documentFrames(on, app);
  yield { kind: "end" };
}

/** Frames as the bytes the process takes in. */
export function frameBytes(frames: AsyncGenerator<Frame>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await frames.next();
        if (next.done === true) controller.close();
        else controller.enqueue(encodeFrame(next.value));
      },
      async cancel() {
        await frames.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
