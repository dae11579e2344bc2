/**
 * The front page of app's process that reads cartridges: `fazt cartridge-reader` gives the frames
 * of the file it sees in the sandbox. A stranger's file is opened here and nowhere else.
 *
 * A failure is one JSON line on standard error, `{code,message,hint}`, and exit code 1.
 */
import { SQLiteError } from "bun:sqlite";
import { writeSync } from "node:fs";
import { join } from "node:path";
import { inputDir } from "../../enclosed.ts";
import { type Errno, isErrno, SysError } from "../../errno.ts";
import { readCartridge } from "./file.ts";
import { cartridgeName, encodeFrame } from "./frame.ts";

/** Writes all of it; a pipe takes what it can. */
export function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
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
  if (code === noDatabase) return "this is no cartridge";
  return error instanceof SQLiteError ? `the file is damaged (${message})` : message;
}

/** Does the work. Answers the exit code. */
export async function live(verb: string, work: () => Promise<void>): Promise<number> {
  try {
    await work();
    return 0;
  } catch (error) {
    const known =
      error instanceof SysError
        ? error
        : new SysError(errnoOf(error), `cannot ${verb} the cartridge: ${stateOf(error)}`);
    writeSync(2, `${JSON.stringify(known.toBody(null))}\n`);
    return 1;
  }
}

async function read(): Promise<void> {
  const path = join(await inputDir(), cartridgeName);
  for (const frame of readCartridge(path)) writeAll(1, encodeFrame(frame));
}

/** The life of the process. Answers its exit code. */
export async function runCartridgeReader(): Promise<number> {
  return await live("read", read);
}
