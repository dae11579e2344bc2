/**
 * The front page of app's other process, which reads and writes cartridges: `fazt cartridge-child
 * write FILE` takes frames in and gives the file's bytes; `fazt cartridge-child read FILE` takes the
 * file's bytes in and gives frames. A stranger's file is opened here and nowhere else. FILE is a
 * draft of its own, removed at the end.
 *
 * `{volume: DIR}` beside the verb lets `write` add an app's volume, pinned while it is copied.
 * A failure is one JSON line on standard error, `{code,message,hint}`, and exit code 1.
 */
import { SQLiteError } from "bun:sqlite";
import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { type Errno, isErrno, SysError } from "../../errno.ts";
import { hold } from "../../storage/mod.ts";
import { readCartridge, writeCartridge } from "./file.ts";
import { decodeFrames, encodeFrame, type Frame, partBytesMax } from "./item.ts";

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

function* pieces(path: string): Generator<Uint8Array> {
  const file = openSync(path, "r");
  try {
    for (;;) {
      const piece = new Uint8Array(partBytesMax);
      const read = readSync(file, piece, 0, piece.length, null);
      if (read === 0) return;
      yield piece.subarray(0, read);
    }
  } finally {
    closeSync(file);
  }
}

/** The volume's items with their parts: what SQLite needs to put it together again. */
function* volumeFrames(directory: string, draft: string): Generator<Frame> {
  let held: ReturnType<typeof hold>;
  try {
    held = hold(join(directory, "app.db"), { name: "app.db", mustLock: true });
  } catch (error) {
    // An app that never opened its volume has none.
    if ((error as { code?: unknown }).code === "ENOENT") return;
    throw error;
  }
  try {
    for (const section of held.sections) {
      // Twice over the bytes: a hash must stand before its parts, and nothing is held in memory.
      const copy = `${draft}.volume`;
      const hasher = new Bun.CryptoHasher("sha256");
      let size = 0;
      const file = openSync(copy, "w", 0o600);
      for (const bytes of section.read()) {
        hasher.update(bytes);
        writeAll(file, bytes);
        size += bytes.length;
      }
      closeSync(file);
      const parts = Math.ceil(size / partBytesMax);
      const name = section.name as "app.db" | "app.db-wal";
      yield { kind: "volume", item: { name, size, hash: hasher.digest("hex"), parts } };
      for (const bytes of pieces(copy)) yield { kind: "part", bytes };
      rmSync(copy);
    }
  } finally {
    held.release();
  }
}

async function* withVolume(frames: AsyncIterable<Frame>, volume: string, draft: string) {
  for await (const frame of frames) {
    if (frame.kind === "end") yield* volumeFrames(volume, draft);
    yield frame;
  }
}

async function write(draft: string, volume: string): Promise<void> {
  const frames = decodeFrames(Bun.stdin.stream());
  await writeCartridge(draft, withVolume(frames, volume, draft));
  for (const bytes of pieces(draft)) writeAll(1, bytes);
}

async function read(draft: string): Promise<void> {
  const file = openSync(draft, "wx", 0o600);
  for await (const bytes of Bun.stdin.stream()) writeAll(file, bytes);
  closeSync(file);
  for (const frame of readCartridge(draft)) writeAll(1, encodeFrame(frame));
}

/** What SQLite says of a file that is no database at all. */
const noDatabase = "SQLITE_NOTADB";

function errnoOf(error: unknown): Errno {
  const code = String((error as { code?: unknown } | null)?.code ?? "");
  if (isErrno(code)) return code;
  if (code === "SQLITE_FULL") return "ENOSPC";
  return error instanceof SQLiteError ? "EBADMSG" : "EIO";
}

function stateOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message: string };
  return code === noDatabase ? "this is no cartridge" : message;
}

/** The life of the process. Answers its exit code. */
export async function runCartridgeChild(args: readonly string[]): Promise<number> {
  const [verb = "", draft = "", volume = ""] = args;
  try {
    setPriority(10);
    if (verb === "write") await write(draft, volume);
    else await read(draft);
    return 0;
  } catch (error) {
    const known =
      error instanceof SysError
        ? error
        : new SysError(errnoOf(error), `cannot ${verb} the cartridge: ${stateOf(error)}`);
    writeSync(2, `${JSON.stringify(known.toBody(null))}\n`);
    return 1;
  } finally {
    for (const path of [draft, `${draft}.volume`]) rmSync(path, { force: true });
  }
}
