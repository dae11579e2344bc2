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
 * Between the kernel and the processes that read and write the file, items travel as frames.
 * What is imported here is all that the reader in its sandbox has: no package is there.
 */
import { SysError } from "../../errno.ts";
import type { ItemKind, ItemOf } from "./item.ts";

/** The number of this format; a higher one is refused. */
export const cartridgeFormat = 1;
/** "cart" in ASCII. */
export const cartridgeId = 0x63617274;
/** The file as its reader sees it, below its directory. */
export const cartridgeName = "app.cart";
/** Bytes of one part: what the kernel holds of a file. */
export const partBytesMax = 1024 * 1024;
/** Bytes of an item without its part; a document or a value is at most 1 MB of JSON text. */
export const itemBytesMax = 8 * 1024 * 1024;

/** What travels: an item, a part of the item before it, or the end of all. */
export type Frame =
  | { readonly [K in ItemKind]: { readonly kind: K; readonly item: ItemOf<K> } }[ItemKind]
  | { readonly kind: "part"; readonly bytes: Uint8Array }
  | { readonly kind: "end" };

type Columns = { readonly [K in ItemKind]: Readonly<Record<keyof ItemOf<K>, "TEXT" | "INTEGER">> };

/** Every kind of item, in the order they are written and read, and its columns. */
const columnTypes: Columns = {
  meta: { fazt: "TEXT", createdAt: "INTEGER", name: "TEXT", message: "TEXT", manifest: "TEXT" },
  file: { path: "TEXT", mode: "INTEGER", size: "INTEGER", hash: "TEXT", parts: "INTEGER" },
  env: { name: "TEXT", secret: "INTEGER", value: "TEXT" },
  entry: { path: "TEXT", kind: "TEXT", size: "INTEGER", hash: "TEXT", parts: "INTEGER" },
  pair: { key: "TEXT", value: "TEXT", expires_at: "INTEGER" },
  doc_index: { collection: "TEXT", field: "TEXT" },
  doc: { collection: "TEXT", id: "TEXT", doc: "TEXT" },
  volume: { name: "TEXT", size: "INTEGER", hash: "TEXT", parts: "INTEGER" },
};

export const itemKinds = Object.keys(columnTypes) as ItemKind[];

const definition = (kind: ItemKind): string =>
  Object.entries(columnTypes[kind])
    .map(([name, type]) => `${name} ${type}`)
    .join(", ");

/** Every statement that makes the file's schema; the only one a reader accepts. */
export const cartridgeSchema: readonly string[] = [
  "CREATE TABLE cartridge_section (kind TEXT PRIMARY KEY, rows INTEGER, hash TEXT) STRICT, WITHOUT ROWID",
  "CREATE TABLE cartridge_part (n INTEGER PRIMARY KEY, bytes BLOB) STRICT",
  ...itemKinds.map(
    (kind) => `CREATE TABLE cartridge_${kind} (n INTEGER PRIMARY KEY, ${definition(kind)}) STRICT`,
  ),
];

/** Names of the columns of a kind, in order. */
export const columnsOf = (kind: ItemKind): string[] => Object.keys(columnTypes[kind]);

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
