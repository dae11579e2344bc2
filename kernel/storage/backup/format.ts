/**
 * The backup file: a stream of sections, or all of it inside one age file (age-encryption.org/v1).
 *   "FAZTBAK\n"  section*  trailer
 *   section = S name · D bytes … D bytes · H sha256
 *   trailer = Z json sha256
 *   record  = type (1 byte) · length (4 bytes, big endian) · that many bytes
 * Invariants
 * 1. H is the SHA-256 of every byte of its section from the type of S on; Z's is that of all H
 *    before it and of its own JSON. So each byte of the file is covered, and damage has a name.
 * 2. The first section is `header`: JSON with the format's number and the names of all that follow,
 *    in order.
 * 3. After a database in WAL mode comes its `-wal`: SQLite itself puts the two together.
 * 4. `machine.key` is a section only of an encrypted backup (docs/decisions/0007).
 * 5. Nothing follows the trailer; a reader believes nothing before it.
 */
import { SysError } from "../../errno.ts";

/** The number of this format; a file with another one is refused. */
const backupFormat = 1;

const magic = new TextEncoder().encode("FAZTBAK\n");
/** Bytes of one D record: what a reader or a writer holds. */
export const recordBytesMax = 1024 * 1024;
const headerBytesMax = 16 * 1024 * 1024;
const hashBytes = 32;
const types = { begin: 0x53, data: 0x44, hash: 0x48, trailer: 0x5a } as const;
const typeNames = new Map<number, string>(
  Object.entries(types).map(([name, type]) => [type, name]),
);

/** Names a section may have. Nothing else is ever written to a data directory. */
const sectionName = /^(machine\.key|(data\.db|volumes\/[a-z0-9_]{1,64}\/app\.db)(-wal)?)$/;

/** What a backup says of itself. */
export interface BackupHeader {
  readonly format: number;
  /** The version of fazt that wrote it. */
  readonly fazt: string;
  /** Unix ms. */
  readonly createdAt: number;
  readonly schemaVersion: number;
  readonly sections: readonly string[];
  /** Databases that could not be locked and were copied as they were. */
  readonly unlocked: readonly string[];
}

/** One section to be written: its bytes are asked for when its turn has come. */
export interface Section {
  readonly name: string;
  read(): Iterable<Uint8Array>;
}

/** What a reader meets, in order. */
export type BackupEvent =
  | { readonly kind: "header"; readonly header: BackupHeader }
  | { readonly kind: "begin"; readonly name: string }
  | { readonly kind: "data"; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly name: string; readonly sizeBytes: number }
  | { readonly kind: "done"; readonly sections: number; readonly sizeBytes: number };

function record(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + payload.length);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, payload.length);
  bytes.set(payload, 5);
  return bytes;
}

/** The bytes of a backup, a record at a time. */
export function* writeBackup(
  header: Omit<BackupHeader, "format" | "sections">,
  sections: readonly Section[],
): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  const names = sections.map(({ name }) => name);
  const json = encoder.encode(JSON.stringify({ format: backupFormat, ...header, sections: names }));
  const all = new Bun.CryptoHasher("sha256");
  let sizeBytes = 0;
  yield magic;
  for (const section of [{ name: "header", read: () => [json] }, ...sections]) {
    const own = new Bun.CryptoHasher("sha256");
    const hashed = (bytes: Uint8Array): Uint8Array => {
      own.update(bytes);
      return bytes;
    };
    yield hashed(record(types.begin, encoder.encode(section.name)));
    for (const bytes of section.read()) {
      for (let at = 0; at < bytes.length; at += recordBytesMax) {
        yield hashed(record(types.data, bytes.subarray(at, at + recordBytesMax)));
      }
      sizeBytes += bytes.length;
    }
    const digest = own.digest();
    all.update(digest);
    yield record(types.hash, digest);
  }
  const end = encoder.encode(JSON.stringify({ sections: names.length + 1, sizeBytes }));
  yield record(types.trailer, Buffer.concat([end, all.update(end).digest()]));
}

/** Damage of a backup file, named. `where` is such as `section "data.db"`. */
export function damaged(where: string, state: string): SysError {
  return new SysError("EBADMSG", `cannot read the backup: ${where} ${state}`, {
    hint: "use another copy of this backup, or an older one; nothing was restored",
  });
}

/** Reads a stream piece by piece; holds one piece at most beside what is asked for. */
class ByteSource {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #left: Uint8Array = new Uint8Array(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#pieces = stream[Symbol.asyncIterator]();
  }

  /** The next `size` bytes; fewer only when the stream has ended. */
  async take(size: number): Promise<Uint8Array> {
    const taken = new Uint8Array(size);
    let at = 0;
    while (at < size) {
      if (this.#left.length === 0) {
        const next = await this.#pieces.next();
        if (next.done === true) break;
        this.#left = next.value;
        continue;
      }
      const part = this.#left.subarray(0, size - at);
      taken.set(part, at);
      at += part.length;
      this.#left = this.#left.subarray(part.length);
    }
    return taken.subarray(0, at);
  }
}

interface Seen {
  readonly type: number;
  readonly head: Uint8Array;
  readonly payload: Uint8Array;
}

/** Reads the next record; `where` is what is said when it is not there or is none. */
async function nextRecord(source: ByteSource, where: string): Promise<Seen> {
  const head = await source.take(5);
  if (head.length < 5) throw damaged(where, "is cut short: the file ends there");
  const length = new DataView(head.buffer, head.byteOffset).getUint32(1);
  const type = head[0] ?? 0;
  if (!typeNames.has(type) || length > recordBytesMax) throw damaged(where, "is damaged");
  const payload = await source.take(length);
  if (payload.length < length) throw damaged(where, "is cut short: the file ends there");
  return { type, head, payload };
}

/** One pass over a backup. */
class Reading {
  readonly #source: ByteSource;
  readonly #all = new Bun.CryptoHasher("sha256");
  #sizeBytes = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  async *events(): AsyncGenerator<BackupEvent> {
    const first = await this.#source.take(magic.length);
    if (!Buffer.from(first).equals(magic)) throw notABackup();
    const header = await this.#header();
    yield { kind: "header", header };
    for (const name of header.sections) {
      yield { kind: "begin", name };
      const before = this.#sizeBytes;
      for await (const bytes of this.#section(name)) yield { kind: "data", name, bytes };
      yield { kind: "end", name, sizeBytes: this.#sizeBytes - before };
    }
    await this.#trailer();
    const sizeBytes = this.#sizeBytes;
    yield { kind: "done", sections: header.sections.length, sizeBytes };
  }

  async #header(): Promise<BackupHeader> {
    const parts: Uint8Array[] = [];
    for await (const bytes of this.#section("header")) {
      parts.push(bytes);
      if (this.#sizeBytes > headerBytesMax) throw damaged("the header", "is too large");
    }
    return parseHeader(Buffer.concat(parts).toString("utf8"));
  }

  /** The bytes of the next section, which must be the one of this name, verified at its end. */
  async *#section(name: string): AsyncGenerator<Uint8Array> {
    const where = name === "header" ? "the header" : `section "${name}"`;
    const own = new Bun.CryptoHasher("sha256");
    const begin = await nextRecord(this.#source, where);
    const said = new TextDecoder().decode(begin.payload);
    if (begin.type !== types.begin || said !== name) throw damaged(where, "is not in its place");
    own.update(begin.head).update(begin.payload);
    for (;;) {
      const { type, head, payload } = await nextRecord(this.#source, where);
      if (type === types.hash) {
        const digest = own.digest();
        if (!Buffer.from(payload).equals(digest)) throw damaged(where, "is damaged");
        this.#all.update(digest);
        return;
      }
      if (type !== types.data) throw damaged(where, "is damaged");
      own.update(head).update(payload);
      this.#sizeBytes += payload.length;
      yield payload;
    }
  }

  async #trailer(): Promise<void> {
    const where = "the trailer";
    const { type, payload } = await nextRecord(this.#source, where);
    const end = payload.subarray(0, -hashBytes);
    const sound = type === types.trailer && payload.length > hashBytes;
    const digest = this.#all.update(end).digest();
    if (!sound || !Buffer.from(payload.subarray(-hashBytes)).equals(digest)) {
      throw damaged(where, "is damaged");
    }
    if ((await this.#source.take(1)).length > 0) throw damaged("the file", "goes on after its end");
  }
}

function notABackup(): SysError {
  return new SysError("EBADMSG", "cannot read the backup: this is no fazt backup", {
    hint: "name a file that `fazt storage backup` wrote",
  });
}

function parseHeader(json: string): BackupHeader {
  let header: Partial<BackupHeader>;
  try {
    header = JSON.parse(json) as Partial<BackupHeader>;
  } catch {
    throw damaged("the header", "is no JSON");
  }
  if (header.format !== backupFormat) {
    const message = `cannot read the backup: format ${String(header.format)}, not ${backupFormat}`;
    throw new SysError("EBADMSG", message, {
      hint: "a newer fazt wrote it; restore with that one",
    });
  }
  const sections = header.sections ?? [];
  const names = new Set(sections);
  const strange = sections.find((name) => typeof name !== "string" || !sectionName.test(name));
  if (strange !== undefined || names.size !== sections.length || !names.has("data.db")) {
    throw damaged("the header", "names sections that cannot be");
  }
  return { unlocked: [], ...header, sections } as BackupHeader;
}

/** The events of a backup. EBADMSG, naming what is damaged; `done` comes only when all is whole. */
export function readBackup(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<BackupEvent> {
  return new Reading(new ByteSource(bytes)).events();
}
