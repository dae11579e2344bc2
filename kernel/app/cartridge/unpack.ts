/**
 * A cartridge as files that can be looked at, without an app being made of it: its release below
 * `app/`, the app's own files below `data/`, and `about.json` with what else there is.
 *
 * Rules: all of it is read in the sandbox and verified to its end; keys, documents and tables are
 * counted and not taken in. Empty directories are left out.
 */
import { SysError } from "../../errno.ts";
import type { Fs, ManifestFile } from "../../fs/mod.ts";
import { limits } from "../limits.ts";
import { damagedCartridge } from "./frame.ts";
import type { ItemOf } from "./item.ts";
import { Reader } from "./reader.ts";
import type { CartridgeProgram } from "./run.ts";

export interface UnpackParts {
  readonly fs: Pick<Fs, "blobs">;
  readonly program: Pick<CartridgeProgram, "read">;
}

/** What has been put down so far. */
class Files {
  readonly list: ManifestFile[] = [];
  readonly #blobs: Fs["blobs"];
  #left: number = limits.releaseBytesMax;

  constructor(blobs: Fs["blobs"]) {
    this.#blobs = blobs;
  }

  async put(
    file: { readonly path: string; readonly mode: number; readonly hash: string | null },
    body: ReadableStream<Uint8Array>,
  ): Promise<void> {
    const { hash, sizeBytes } = await this.#blobs.put({ hash: file.hash }, body);
    this.#left -= sizeBytes;
    if (this.#left < 0 || this.list.length >= limits.releaseFilesMax) {
      const most = `${limits.releaseBytesMax} bytes in ${limits.releaseFilesMax} files`;
      throw new SysError("EBADMSG", `cannot take in the cartridge: more than ${most}`, {
        hint: "import it as an app: fazt app import FILE.cart",
      });
    }
    this.list.push({ path: file.path, mode: file.mode, hash, sizeBytes });
  }
}

/** How many items of a kind come next; their parts are read, and nothing else is done with them. */
async function count(reader: Reader, kind: "pair" | "doc_index" | "doc"): Promise<number> {
  for (let n = 0; ; n++) if ((await reader.item(kind)) === null) return n;
}

async function releaseInto(files: Files, reader: Reader): Promise<void> {
  for (;;) {
    const item = await reader.item("file");
    if (item === null) return;
    const { path, mode, hash, parts } = item;
    await files.put({ path: `app/${path}`, mode, hash }, reader.parts(parts));
  }
}

async function namesOf(reader: Reader): Promise<string[]> {
  for (const names: string[] = []; ; ) {
    const item = await reader.item("env");
    if (item === null) return names;
    names.push(item.name);
  }
}

async function dataInto(files: Files, reader: Reader): Promise<void> {
  for (;;) {
    const item = await reader.item("entry");
    if (item === null) return;
    const { path, kind, hash, parts } = item;
    if (!path.startsWith("/")) throw damagedCartridge(`the path "${path}"`, "is not absolute");
    if (kind === "file")
      await files.put({ path: `data${path}`, mode: 0o644, hash }, reader.parts(parts));
  }
}

async function volumeBytes(reader: Reader): Promise<number> {
  for (let bytes = 0; ; ) {
    const item: ItemOf<"volume"> | null = await reader.item("volume");
    if (item === null) return bytes;
    for await (const part of reader.parts(item.parts)) bytes += part.length;
  }
}

/** Puts its files among the blobs; they are kept when a manifest names them. EBADMSG, ENOSPC, EPERM. */
export async function unpackCartridge(
  { fs, program }: UnpackParts,
  body: ReadableStream<Uint8Array>,
): Promise<ManifestFile[]> {
  const reader = new Reader(program.read(body));
  const files = new Files(fs.blobs);
  try {
    const meta = await reader.item("meta");
    if (meta === null) throw damagedCartridge("its head", "is not there");
    await releaseInto(files, reader);
    const env = await namesOf(reader);
    await dataInto(files, reader);
    const pairs = await count(reader, "pair");
    await count(reader, "doc_index");
    const documents = await count(reader, "doc");
    const sqlBytes = await volumeBytes(reader);
    if ((await reader.peek()).kind !== "end")
      throw damagedCartridge("an item", "is not in its place");
    const { fazt, createdAt, name, message } = meta;
    const about = { name, message, fazt, createdAt, env, pairs, documents, sqlBytes };
    const text = `${JSON.stringify(about, null, 2)}\n`;
    await files.put({ path: "about.json", mode: 0o444, hash: null }, new Blob([text]).stream());
    return files.list;
  } finally {
    await reader.close();
  }
}
