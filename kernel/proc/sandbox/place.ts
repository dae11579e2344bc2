/**
 * Where on this host the kernel may make control groups, and which controllers come with them.
 *
 * Rules: the group this kernel was started in is divided only when nobody else lives in it (a
 * service of systemd, a container); the kernel then moves into a part of it, because a group that
 * hands out controllers may hold no process. Else groups are made at the top of the hierarchy, with
 * what is handed out there already; nothing that belongs to others is changed or moved.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { kernelWeight } from "./limits.ts";

const wanted = ["memory", "pids", "cpu", "io"] as const;

/** A directory to make groups in. */
export interface Place {
  readonly dir: string;
  /** The controllers its groups get. */
  readonly controllers: readonly string[];
  /** Why memory is not among them; null when it is. */
  readonly lacks: string | null;
}

/** The hierarchy of version 2 and the group a process is in. */
export interface Hierarchy {
  readonly top: string;
  readonly own: string;
}

/** Reads two files of a process's /proc: pure. Null where there is no version 2. */
export function hierarchyOf(mounts: string, membership: string): Hierarchy | null {
  const mount = mounts.split("\n").find((line) => / - cgroup2 /.test(line));
  const path = /^0::(\/.*)$/m.exec(membership)?.[1];
  const [, , , root = "/", top = ""] = mount?.split(" ") ?? [];
  if (top === "" || path === undefined) return null;
  const below = root === "/" ? path : path.slice(root.length);
  return { top, own: join(top, below) };
}

/** Where groups can be made here, or why nowhere. */
export function findPlace(hierarchy: Hierarchy | null = ofThisProcess()): Place | { why: string } {
  if (hierarchy === null) return { why: "the host has no cgroup v2" };
  const { top } = hierarchy;
  const own = homeOf(hierarchy.own);
  const places = [own, top].filter(mayDivide);
  const [first] = places;
  if (first === undefined) return { why: "this kernel may not make a cgroup" };
  for (const dir of places) {
    const part = dir === own && dir !== top ? join(dir, kernelPart) : null;
    if (part !== null) moveInto(part, dir);
    const controllers = handOut(dir);
    if (part !== null) weigh(part);
    if (controllers.includes("memory")) return { dir, controllers, lacks: null };
  }
  const has = words(join(first, "cgroup.controllers")).includes("memory");
  const lacks = has
    ? "the cgroup this kernel was started in is shared with others"
    : "cgroup v2 here has no memory controller";
  return { dir: first, controllers: handOut(first), lacks };
}

/** The part that a kernel moves into. */
const kernelPart = "kernel";

/** The group a kernel was started in; one that another kernel has started is in its part of it. */
function homeOf(own: string): string {
  const above = dirname(own);
  const isPart = basename(own) === kernelPart && words(join(above, "cgroup.procs")).length === 0;
  return isPart && mayDivide(above) ? above : own;
}

function ofThisProcess(): Hierarchy | null {
  try {
    const read = (name: string) => readFileSync(`/proc/self/${name}`, "utf8");
    return hierarchyOf(read("mountinfo"), read("cgroup"));
  } catch {
    return null; // no /proc
  }
}

function mayDivide(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK);
    accessSync(join(dir, "cgroup.subtree_control"), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** The kernel and its children move down, when all that live here are they. */
function moveInto(part: string, dir: string): void {
  const living = words(join(dir, "cgroup.procs"));
  const parents = new Map(living.map((pid) => [pid, parentOf(pid)]));
  const ours = (pid: string): boolean => {
    for (let at: string | undefined = pid; at !== undefined; at = parents.get(at)) {
      if (at === String(process.pid)) return true;
    }
    return false;
  };
  if (living.length === 0 || !living.every(ours)) return;
  mkdirSync(part, { recursive: true });
  for (const pid of living) {
    try {
      writeFileSync(join(part, "cgroup.procs"), pid);
    } catch {
      // It has just ended.
    }
  }
}

/** No app, and not all of them together, keeps the kernel from a processor or the disk. */
function weigh(part: string): void {
  for (const [file, value] of [
    ["cpu.weight", String(kernelWeight)],
    ["io.weight", `default ${kernelWeight}`],
  ] as const) {
    const path = join(part, file);
    if (existsSync(path)) writeFileSync(path, value);
  }
}

function parentOf(pid: string): string | undefined {
  try {
    return /^PPid:\s(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  } catch {
    return undefined; // it has just ended
  }
}

/** Hands out what this group has to its parts, as far as the host lets; answers what they get. */
function handOut(dir: string): string[] {
  const has = words(join(dir, "cgroup.controllers"));
  const file = join(dir, "cgroup.subtree_control");
  for (const name of wanted) {
    if (!has.includes(name) || words(file).includes(name)) continue;
    try {
      writeFileSync(file, `+${name}`);
    } catch {
      // Others live here, or their real-time processes need the controller elsewhere.
    }
  }
  const given = words(file);
  return wanted.filter((name) => given.includes(name));
}

/** The words of a file; none when it cannot be read. */
export function words(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split(/\s+/).filter(Boolean);
  } catch {
    return [];
  }
}

/** What a directory holds; nothing when it has just been removed. */
export function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
