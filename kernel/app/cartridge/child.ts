/**
 * The front page of app's process that writes cartridges: `fazt cartridge-child FILE VOLUME` takes
 * frames in and gives the file's bytes, with the app's volume, pinned while it is copied. FILE is a
 * draft of its own, removed at the end. A stranger's file is never opened here (`child-read.ts`).
 */
import { closeSync, openSync, readSync, rmSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { hold } from "../../storage/mod.ts";
import { live, writeAll } from "./child-read.ts";
import { writeCartridge } from "./file.ts";
import { type Frame, partBytesMax } from "./frame.ts";
import { decodeFrames } from "./item.ts";

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

/** The life of the process. Answers its exit code. */
export async function runCartridgeChild(args: readonly string[]): Promise<number> {
  const [draft = "", volume = ""] = args;
  setPriority(10);
  const code = await live("write", () => write(draft, volume));
  for (const path of [draft, `${draft}.volume`]) rmSync(path, { force: true });
  return code;
}
