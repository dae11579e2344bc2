/**
 * A cartridge: one app in one SQLite file, to be carried to another machine or another name.
 *
 *   application_id "cart", user_version = the format; one table a kind of item, below.
 *
 * Invariants
 * 1. The schema is exactly what is written here, object by object; anything else is refused before
 *    a row is read, so that a view or a trigger of a stranger never runs.
 * 2. `cartridge_section` has one row a table: how many rows it has and the SHA-256 over all of them
 *    in order of `n`. So damage is found and has a name.
 * 3. The bytes of a `file`, an `entry` or the volume are its parts, in order; `hash` is theirs.
 * 4. Secrets are never in it: of the environment a secret's name alone.
 * Between the kernel and the process that reads and writes the file, items travel as frames.
 */
import { z } from "zod";
import { SysError } from "../../errno.ts";

/** The number of this format; a higher one is refused. */
export const cartridgeFormat = 1;
/** "cart" in ASCII. */
export const cartridgeId = 0x63617274;
/** Bytes of one part: what the kernel holds of a file. */
export const partBytesMax = 1024 * 1024;
/** Bytes of an item without its part; a document or a value is at most 1 MB of JSON text. */
const itemBytesMax = 8 * 1024 * 1024;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const path = z.string().min(1).max(4096);
const size = z.int().min(0);

/** Every kind of item, in the order they are written and read. */
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
export const itemKinds = Object.keys(itemSchemas) as ItemKind[];
export type ItemOf<K extends ItemKind> = z.output<(typeof itemSchemas)[K]>;

/** What travels: an item, a part of the item before it, or the end of all. */
export type Frame =
  | { readonly [K in ItemKind]: { readonly kind: K; readonly item: ItemOf<K> } }[ItemKind]
  | { readonly kind: "part"; readonly bytes: Uint8Array }
  | { readonly kind: "end" };

const columnTypes: Readonly<Record<ItemKind, string>> = {
  meta: "fazt TEXT, createdAt INTEGER, name TEXT, message TEXT, manifest TEXT",
  file: "path TEXT, mode INTEGER, size INTEGER, hash TEXT, parts INTEGER",
  env: "name TEXT, secret INTEGER, value TEXT",
  entry: "path TEXT, kind TEXT, size INTEGER, hash TEXT, parts INTEGER",
  pair: "key TEXT, value TEXT, expires_at INTEGER",
  doc_index: "collection TEXT, field TEXT",
  doc: "collection TEXT, id TEXT, doc TEXT",
  volume: "name TEXT, size INTEGER, hash TEXT, parts INTEGER",
};

/** Every statement that makes the file's schema; the only one a reader accepts. */
export const cartridgeSchema: readonly string[] = [
  "CREATE TABLE cartridge_section (kind TEXT PRIMARY KEY, rows INTEGER, hash TEXT) STRICT, WITHOUT ROWID",
  "CREATE TABLE cartridge_part (n INTEGER PRIMARY KEY, bytes BLOB) STRICT",
  ...itemKinds.map(
    (kind) => `CREATE TABLE cartridge_${kind} (n INTEGER PRIMARY KEY, ${columnTypes[kind]}) STRICT`,
  ),
];

/** Names of the columns of a kind, in order. */
export const columnsOf = (kind: ItemKind): string[] => Object.keys(itemSchemas[kind].shape);

/** Damage of a cartridge, named. */
export function damagedCartridge(where: string, state: string): SysError {
  return new SysError("EBADMSG", `cannot read the cartridge: ${where} ${state}`, {
    hint: "export it again, or use another copy; nothing was imported",
  });
}

/** One frame as bytes: length of the JSON, length of the part (4 bytes each, big endian), both. */
export function encodeFrame(frame: Frame): Uint8Array {
  const { bytes, ...rest } = frame.kind === "part" ? frame : { ...frame, bytes: new Uint8Array(0) };
  const json = new TextEncoder().encode(JSON.stringify(rest));
  const whole = new Uint8Array(8 + json.length + bytes.length);
  const view = new DataView(whole.buffer);
  view.setUint32(0, json.length);
  view.setUint32(4, bytes.length);
  whole.set(json, 8);
  whole.set(bytes, 8 + json.length);
  return whole;
}

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
