/**
 * What a cartridge's items must be, and frames out of bytes: the kernel's side of `frame.ts`.
 * Nothing that comes from a reader is believed: every item is parsed again here.
 */
import { z } from "zod";
import { damagedCartridge, type Frame, itemBytesMax, partBytesMax } from "./frame.ts";

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const path = z.string().min(1).max(4096);
const size = z.int().min(0);

/** Every kind of item. */
const itemSchemas = {
  meta: z.object({
    fazt: z.string().max(100),
    createdAt: z.int(),
    name: z.string().max(100),
    message: z.string().max(1000),
    manifest: z.string().max(1024 * 1024),
  }),
  file: z.object({ path, mode: z.int().min(0).max(0o777), size, hash, parts: size }),
  env: z.object({ name: z.string().max(100), secret: z.int(), value: z.string().nullable() }),
  entry: z.object({
    path,
    kind: z.enum(["file", "dir"]),
    size,
    hash: hash.nullable(),
    parts: size,
  }),
  pair: z.object({ key: z.string(), value: z.string(), expires_at: z.int().nullable() }),
  doc_index: z.object({ collection: z.string(), field: z.string() }),
  doc: z.object({ collection: z.string(), id: z.string(), doc: z.string() }),
  volume: z.object({ name: z.enum(["app.db", "app.db-wal"]), size, hash, parts: size }),
} as const;

export type ItemKind = keyof typeof itemSchemas;
export type ItemOf<K extends ItemKind> = z.output<(typeof itemSchemas)[K]>;

/** Gathers `size` bytes at a time out of a stream. */
async function* exactly(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, number> {
  const pieces = stream[Symbol.asyncIterator]();
  let left: Uint8Array = new Uint8Array(0);
  let wanted = yield new Uint8Array(0);
  for (;;) {
    const taken = new Uint8Array(wanted);
    let at = 0;
    while (at < wanted) {
      if (left.length === 0) {
        const next = await pieces.next();
        if (next.done === true) break;
        left = next.value;
        continue;
      }
      const part = left.subarray(0, wanted - at);
      taken.set(part, at);
      at += part.length;
      left = left.subarray(part.length);
    }
    if (at < wanted) return;
    wanted = yield taken;
  }
}

function decoded(json: Uint8Array, bytes: Uint8Array): Frame {
  const value = JSON.parse(new TextDecoder().decode(json)) as { kind: string; item?: unknown };
  if (value.kind === "end") return { kind: "end" };
  if (value.kind === "part") return { kind: "part", bytes };
  const schema = Object.hasOwn(itemSchemas, value.kind)
    ? itemSchemas[value.kind as ItemKind]
    : undefined;
  if (schema === undefined) throw damagedCartridge("an item", "is of an unknown kind");
  const item = schema.safeParse(value.item);
  if (item.success) return { kind: value.kind, item: item.data } as Frame;
  const issue = item.error.issues[0];
  const field = issue?.path.map(String).join(".") ?? "";
  throw damagedCartridge(`"${field}" of a ${value.kind}`, `is not valid: ${issue?.message ?? ""}`);
}

/** Frames out of bytes; ends with the end frame. EBADMSG when the bytes end before it. */
export async function* decodeFrames(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  const source = exactly(stream);
  await source.next(0);
  const take = async (count: number): Promise<Uint8Array> => {
    if (count === 0) return new Uint8Array(0);
    const next = await source.next(count);
    if (next.done === true) throw damagedCartridge("the stream", "ends too early");
    return next.value;
  };
  for (;;) {
    const head = await take(8);
    const view = new DataView(head.buffer, head.byteOffset);
    const [jsonBytes, partBytes] = [view.getUint32(0), view.getUint32(4)];
    if (jsonBytes > itemBytesMax || partBytes > partBytesMax) {
      throw damagedCartridge("an item", "is too large");
    }
    const frame = decoded(await take(jsonBytes), await take(partBytes));
    yield frame;
    if (frame.kind === "end") return;
  }
}
