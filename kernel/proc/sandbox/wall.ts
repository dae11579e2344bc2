/**
 * What of the disk an app may fill: three files of its volume, and nothing else.
 *
 *   app.db  app.db-wal  app.db-shm     the app's, each as large as its process may write a file
 *   the directory                      root's: nothing in it is made, renamed, linked or removed
 *
 * So an app that lifts SQLite's own limit, or forgets SQLite and writes as it likes, ends at three
 * times its largest file, whatever it does; no mount, no file system and no quota tool is needed.
 * Rule: all three exist before the process does, as SQLite expects to make what is missing, and the
 * database is in the mode of the log, because a rollback journal would be a file more.
 */
import {
  chownSync,
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  type Stats,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { SysError } from "../../errno.ts";
import { blankVolume, logModeAt } from "../../pragma.ts";

const database = "app.db";
const log = `${database}-wal`;
const index = `${database}-shm`;

/**
 * Gives the files of a volume to a user id; null where apps have the kernel's own, and so no wall.
 * EBADMSG when one is no plain file.
 */
export function wallVolume(dir: string, appUid: number | null): void {
  const own = process.getuid?.() ?? 0;
  const uid = appUid ?? own;
  if (lstatSync(dir).uid !== own) chownSync(dir, own, own);
  give(join(dir, database), uid, useLog);
  give(join(dir, log), uid);
  give(join(dir, index), uid);
}

/**
 * Gives a directory and the plain files in it to a user id, for a process that looks through them;
 * null where it runs under the kernel's own. EBADMSG when one is no plain file.
 */
export function giveFiles(dir: string, uid: number | null): void {
  if (uid === null) return;
  for (const name of readdirSync(dir)) give(join(dir, name), uid);
  chownSync(dir, uid, uid);
}

/** One file, made when it is missing. One that was given is not opened: that would end its locks. */
function give(path: string, uid: number, adapt?: (file: number, found: Stats) => void): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.uid === uid) return;
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    const found = fstatSync(file);
    if (!found.isFile() || found.nlink !== 1) {
      throw new SysError("EBADMSG", `cannot give "${path}" to its app: it is not a plain file`);
    }
    adapt?.(file, found);
    fchownSync(file, uid, uid);
  } finally {
    closeSync(file);
  }
}

/** Makes an empty database, or has an imported one use a log: it may be in the other mode. */
function useLog(file: number, { size }: Stats): void {
  if (size === 0) {
    writeSync(file, blankVolume(), 0, undefined, 0);
    return;
  }
  const mode = Buffer.alloc(2);
  readSync(file, mode, 0, 2, logModeAt);
  if (mode[0] === 1 && mode[1] === 1) writeSync(file, Buffer.from([2, 2]), 0, 2, logModeAt);
}
