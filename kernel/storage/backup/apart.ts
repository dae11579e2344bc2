/**
 * Has a database that may be a stranger's looked through by a process that sees it and nothing else
 * (`child-check.ts`), before it takes any place.
 *
 * While it is looked through it is in a directory of its own; afterwards it is this program's own
 * again, in its place, with its log put into it. What is refused is removed.
 */
import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  constants as flags,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { assert } from "../../assert.ts";
import { type Enclosed, refusalIn, startReading } from "../../enclosed.ts";
import { SysError } from "../../errno.ts";
import type { LookAs } from "./child-check.ts";
import { damaged } from "./format.ts";

/** Makes a process that sees this directory alone and may write files of so many bytes there. */
export type EncloseCheck = (dir: string, fileBytes: number) => Enclosed;

export interface LookApart {
  readonly enclose: EncloseCheck;
  readonly as: LookAs;
}

/** Bytes its process may write into a file beside what is there. */
const checkSlackBytes = 64 * 1024 * 1024;
/** Characters it may say on its standard output: a number. */
const saidCharsMax = 32;

/** The check; answers how many tables and indexes there are. EBADMSG, ENOSPC, EPERM (no sandbox). */
export async function lookApart(path: string, { enclose, as }: LookApart): Promise<number> {
  const dir = mkdtempSync(join(dirname(path), "check-"));
  try {
    const there = ["", "-wal"].filter((end) => existsSync(path + end));
    const bytes = there.reduce((sum, end) => sum + lstatSync(path + end).size, 0);
    // Made before anything moves: where there is no sandbox nothing has happened.
    const enclosed = enclose(dir, bytes + checkSlackBytes);
    for (const end of there) renameSync(path + end, join(dir, as + end));
    const tables = await look(enclosed, as);
    takeBack(join(dir, as));
    renameSync(join(dir, as), path);
    return tables;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function look(enclosed: Enclosed, as: LookAs): Promise<number> {
  const reading = startReading(enclosed);
  let said = "";
  try {
    for await (const piece of reading.stdout) {
      if (said.length < saidCharsMax) said += Buffer.from(piece).toString("latin1");
    }
    await reading.ended((text, end) => refusalIn(text) ?? endsIt(as, end));
  } finally {
    await reading.kill();
  }
  const tables = Number(said);
  return Number.isSafeInteger(tables) && tables >= 0 ? tables : 0;
}

const endsIt = (as: LookAs, end: string): SysError =>
  as === "data.db"
    ? damaged('section "data.db"', `ends its reader: ${end}`)
    : new SysError("EBADMSG", `it ends its reader: ${end}`);

/** Makes a file this program's own again; its reader may have left anything in its place. */
function takeBack(path: string): void {
  const file = openSync(path, flags.O_RDWR | flags.O_NOFOLLOW | flags.O_NONBLOCK);
  try {
    const { nlink, ...found } = fstatSync(file);
    assert(nlink === 1 && (found.mode & flags.S_IFMT) === flags.S_IFREG, "a plain file");
    fchownSync(file, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    fchmodSync(file, 0o600);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
