/**
 * A process and all that came from it, and who else used the machine meanwhile (proc_pid_stat(5),
 * proc_stat(5)): a figure taken while somebody else was at work says little.
 */
import { readdirSync, readFileSync } from "node:fs";

/** The text of a file of /proc; empty when it has gone. */
export function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it has ended meanwhile, or is no process
  }
}

/** A process and all that came from it. */
export function familyOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const parent = /^PPid:\s(\d+)$/m.exec(read(`/proc/${name}/status`))?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const below = (one: number): boolean => {
    const parent = parents.get(one);
    return one === pid || (parent !== undefined && below(parent));
  };
  return [...parents.keys()].filter(below);
}

/** Linux counts processor time in hundredths of a second. */
const tickMs = 10;

/** Fields of a process's stat after its name, which may hold anything: the first is its state. */
const statOf = (pid: number): string[] =>
  read(`/proc/${pid}/stat`).split(") ")[1]?.split(" ") ?? [];

const sum = (fields: readonly (string | undefined)[]): number =>
  fields.reduce((total, field) => total + Number(field ?? 0), 0) * tickMs;

/** Processor time of a process until now, milliseconds. */
export const cpuMs = (pid: number): number => sum(statOf(pid).slice(11, 13));

/** Processor time of everybody, and of this process and all that came from it, milliseconds. */
function usedMs(): { readonly all: number; readonly own: number } {
  const [, user, nice, system, , , irq, softirq] = read("/proc/stat").split(/\s+/);
  // With those that have ended and been waited for.
  const own = familyOf(process.pid).map((pid) => sum(statOf(pid).slice(11, 15)));
  return {
    all: sum([user, nice, system, irq, softirq]),
    own: own.reduce((total, ms) => total + ms, 0),
  };
}

/** Processors that strangers use from here until it is asked for. */
export function watchStrangers(): () => number {
  const begun = usedMs();
  const atMs = performance.now();
  return () => {
    const now = usedMs();
    return (now.all - begun.all - (now.own - begun.own)) / (performance.now() - atMs);
  };
}
