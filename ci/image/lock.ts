/**
 * One at a time in a folder, between processes: whoever comes second waits until the first has ended,
 * or is no more. The lock is a file that holds the number of the process.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";

const lookEveryMs = 200;

export interface LockOptions {
  /** Milliseconds after which it throws: a number may be another process's by now. */
  readonly patienceMs: number;
}

/** Whether a process is there: signal 0 asks (kill(2)); EPERM is a yes. */
function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Takes the lock; the number of the process that has it, when another has. */
function take(path: string): number | null {
  try {
    writeFileSync(path, String(process.pid), { flag: "wx" });
    return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  try {
    // Empty for a moment, between its making and its writing: as one that lives.
    return Number(readFileSync(path, "utf8")) || process.pid;
  } catch {
    // Gone since: the next look takes it.
    return process.pid;
  }
}

/** Does the work while nobody else does theirs under this lock. */
export async function locked<T>(
  path: string,
  { patienceMs }: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const endMs = performance.now() + patienceMs;
  for (let holder = take(path); holder !== null; holder = take(path)) {
    if (!lives(holder)) rmSync(path, { force: true });
    else if (performance.now() > endMs) {
      throw new Error(`cannot take "${path}": process ${holder} has it; is it still at work?`);
    } else await Bun.sleep(lookEveryMs);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}
