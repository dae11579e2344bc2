/**
 * Sends what the kernel does not have: small files many to a request, large ones one by one as
 * streams. What arrived stays there, so a deploy that was cut goes on where it stopped.
 *
 * Frames of a batch (fs.blob.putMany): 32 bytes SHA-256, 4 bytes length big endian, the bytes.
 */
import type { Content } from "./content.ts";
import { limits } from "./limits.ts";

/** A way to make calls of the kernel; given by whoever knows the transport. */
export interface Client {
  /** Makes a call and answers its reply. Throws SysError. */
  call(name: string, input: unknown): Promise<unknown>;
  /** Makes a call that takes a body. */
  upload(name: string, input: unknown, body: ReadableStream<Uint8Array>): Promise<unknown>;
}

/** The contents the kernel lacks, each hash once. */
export async function missingContents(
  client: Client,
  contents: readonly Content[],
): Promise<Content[]> {
  const byHash = new Map(contents.map((content) => [content.hash, content]));
  const hashes = [...byHash.keys()];
  const lacking: Content[] = [];
  for (let at = 0; at < hashes.length; at += limits.hashesAsked) {
    const asked = hashes.slice(at, at + limits.hashesAsked);
    const reply = (await client.call("fs.blob.missing", { hashes: asked })) as {
      missing: string[];
    };
    for (const hash of reply.missing) {
      const content = byHash.get(hash);
      if (content !== undefined) lacking.push(content);
    }
  }
  return lacking;
}

/** Small contents gathered into requests, in order. Pure. */
function batches(contents: readonly Content[]): Content[][] {
  const all: Content[][] = [];
  let batch: Content[] = [];
  let sizeBytes = 0;
  for (const content of contents) {
    const full = batch.length >= limits.batchFiles;
    if (full || (batch.length > 0 && sizeBytes + content.sizeBytes > limits.batchBytes)) {
      all.push(batch);
      batch = [];
      sizeBytes = 0;
    }
    batch.push(content);
    sizeBytes += content.sizeBytes;
  }
  if (batch.length > 0) all.push(batch);
  return all;
}

/** One content as a frame of a batch. */
function frame(content: Content, bytes: Uint8Array): Uint8Array {
  const framed = new Uint8Array(36 + bytes.length);
  framed.set(Uint8Array.fromHex(content.hash), 0);
  new DataView(framed.buffer).setUint32(32, bytes.length);
  framed.set(bytes, 36);
  return framed;
}

/** A batch as a body that reads each file when its turn comes. */
function framed(batch: readonly Content[]): ReadableStream<Uint8Array> {
  const left = batch.values();
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const next = left.next();
        if (next.done === true) return controller.close();
        const opened = next.value.open();
        if (!(opened instanceof Uint8Array)) {
          throw new Error("assertion failed: a batch holds small contents only");
        }
        controller.enqueue(frame(next.value, opened));
      },
    },
    { highWaterMark: 1 },
  );
}

function asStream(opened: ReadableStream<Uint8Array> | Uint8Array): ReadableStream<Uint8Array> {
  return opened instanceof Uint8Array ? new Blob([Uint8Array.from(opened)]).stream() : opened;
}

/** Sends contents and answers their bytes. `sent` is told the bytes so far after each request. */
export async function sendContents(
  client: Client,
  contents: readonly Content[],
  sent: (bytes: number) => void,
): Promise<number> {
  let sentBytes = 0;
  const done = (batch: readonly Content[]) => {
    for (const { sizeBytes } of batch) sentBytes += sizeBytes;
    sent(sentBytes);
  };
  for (const batch of batches(contents.filter((c) => c.sizeBytes <= limits.wholeBytesMax))) {
    await client.upload("fs.blob.putMany", {}, framed(batch));
    done(batch);
  }
  for (const content of contents.filter((c) => c.sizeBytes > limits.wholeBytesMax)) {
    await client.upload("fs.blob.put", { hash: content.hash }, asStream(content.open()));
    done([content]);
  }
  return sentBytes;
}
