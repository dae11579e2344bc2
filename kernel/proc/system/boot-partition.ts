/**
 * The boot partition (FAT, mounted by nobody): attached for as long as something is read or written,
 * one at a time, so that a power cut finds it mounted as seldom as can be.
 *
 *     await boot.write((dir) => setBootState(dir, ended("b")));
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { SysError } from "../../errno.ts";
import { type BootState, bootStateOf, withVariables } from "./boot-state.ts";

export interface BootPartition {
  /** Attached read-only while `work` runs. EIO. */
  read<T>(work: (dir: string) => Promise<T> | T): Promise<T>;
  /** Attached while `work` runs; all of it is on the disk when this resolves. EIO. */
  write<T>(work: (dir: string) => Promise<T> | T): Promise<T>;
}

async function run(...command: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "pipe"] });
  const said = await child.stderr.text();
  if ((await child.exited) === 0) return;
  throw new SysError("EIO", `cannot run "${command.join(" ")}": ${said.trim() || "failed"}`);
}

const isMounted = (dir: string): boolean =>
  readFileSync("/proc/self/mountinfo", "utf8").includes(` ${dir} `);

/** The boot partition at `device`, attached at `dir`. */
export function openBootPartition(device: () => string, dir = "/boot/esp"): BootPartition {
  let last: Promise<unknown> = Promise.resolve();
  const attached = async <T>(mode: "ro" | "rw", work: (dir: string) => Promise<T> | T) => {
    // What a kernel that was killed in the middle has left.
    if (isMounted(dir)) await run("umount", dir);
    const options = `${mode},nosuid,nodev,noexec,umask=0077`;
    await run("mount", "-t", "vfat", "-o", options, device(), dir);
    try {
      return await work(dir);
    } finally {
      await run("umount", dir);
    }
  };
  const inTurn = <T>(mode: "ro" | "rw", work: (dir: string) => Promise<T> | T): Promise<T> => {
    const turn = last.then(() => attached(mode, work));
    // The next one's turn comes whatever became of this one; its caller is told.
    last = turn.catch(() => undefined);
    return turn;
  };
  return { read: (work) => inTurn("ro", work), write: (work) => inTurn("rw", work) };
}

const statePath = (dir: string): string => join(dir, "fazt", "grubenv");

/** The boot loader's state. EIO. */
export function readBootState(dir: string): BootState {
  return bootStateOf(readFileSync(statePath(dir), "latin1"));
}

/** Sets variables of the boot loader's state, in place; on the disk when this returns. EIO. */
export function setBootState(dir: string, values: Readonly<Record<string, string>>): void {
  const path = statePath(dir);
  const text = withVariables(readFileSync(path, "latin1"), values);
  const file = openSync(path, "r+");
  try {
    writeSync(file, text, 0, "latin1");
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Flushes a directory's own entries. */
export function syncDir(dir: string): void {
  const file = openSync(dir, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Replaces a small file whole; on the disk when this returns. */
export function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
  syncDir(join(path, ".."));
}
