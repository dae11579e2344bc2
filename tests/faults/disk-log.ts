/**
 * What a process did to the files of a directory, recorded by strace, and what a disk may hold of
 * it when the power goes: everything that was synced, and of the rest whatever chance leaves.
 *
 * The disk that is simulated: data of a file is safe once that file was synced; until then each
 * block of each write is there or not, in any combination. Names (made, renamed, removed) come to
 * the disk in their order, at the latest with the next sync of any file (ext4, ordered).
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** The command that records what `command` does, into a file. */
export function recording(log: string, command: readonly string[]): string[] {
  const calls =
    "openat,write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,fallocate,copy_file_range," +
    "rename,renameat,renameat2,unlink,unlinkat,link,linkat,sendfile";
  const how = ["-f", "-y", "-qq", "--seccomp-bpf", "-xx", "-s", "20000000", "-e", `trace=${calls}`];
  return ["strace", ...how, "-o", log, ...command];
}

/** One thing that happened. Paths are relative to the directory. */
export type Op =
  | { readonly kind: "open"; readonly path: string; readonly cut: boolean }
  | { readonly kind: "write"; readonly path: string; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  | { readonly kind: "sync"; readonly path: string }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  | { readonly kind: "unlink"; readonly path: string }
  /** A line on standard output. */
  | { readonly kind: "said"; readonly text: string };

const unhex = (text: string): Buffer => Buffer.from(text.replaceAll("\\x", ""), "hex");
const quoted = /"((?:\\x[0-9a-f]{2})*)"/g;
const onFile = /^(\w+)\((\d+)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?(?:, )?(.*)\) += (-?\d+)/;

/** Calls that were cut in two by another thread's, put together again where they began. */
function* wholeLines(log: string): Generator<string> {
  const lines = log.split("\n");
  const ends = new Map<number, string>();
  const starts = new Map<string, number>();
  for (const [i, line] of lines.entries()) {
    const pid = line.slice(0, line.indexOf(" "));
    if (line.endsWith(" <unfinished ...>")) starts.set(pid, i);
    const at = starts.get(pid);
    const resumed = / resumed>(.*)$/.exec(line);
    if (resumed?.[1] !== undefined && at !== undefined) ends.set(at, resumed[1]);
  }
  for (const [i, line] of lines.entries()) {
    const text = line.slice(line.indexOf(" ")).trim();
    if (text.startsWith("<...")) continue;
    if (!text.endsWith(" <unfinished ...>")) yield text;
    else yield text.slice(0, -" <unfinished ...>".length) + (ends.get(i) ?? ") = -1");
  }
}

/** Reads a recording. What is not below `directory`, or in its `run/`, is left out. */
export function readLog(path: string, directory: string): Op[] {
  const ops: Op[] = [];
  const offsets = new Map<string, number>();
  const inside = (hex: string): string | null => {
    const found = relative(directory, unhex(hex).toString());
    return found === "" || found.startsWith("..") || found.startsWith("run/") ? null : found;
  };
  for (const line of wholeLines(readFileSync(path, "latin1"))) {
    const name = line.slice(0, line.indexOf("("));
    if (/^(rename|unlink|link|openat)/.test(name)) {
      ops.push(...named(name, line, { inside, offsets }));
      continue;
    }
    const match = onFile.exec(line);
    if (match === null) continue;
    const [, , fd = "", file = "", deleted, rest = "", result = "-1"] = match;
    if (fd === "1" && name === "write") {
      ops.push({ kind: "said", text: unhex(quotedIn(rest)[0] ?? "").toString() });
      continue;
    }
    const found = inside(file);
    if (found === null || deleted !== undefined || Number(result) < 0) continue;
    if (name === "fsync" || name === "fdatasync") ops.push({ kind: "sync", path: found });
    else if (name === "ftruncate") ops.push({ kind: "truncate", path: found, size: Number(rest) });
    else if (name === "pwrite64" || name === "write") {
      const bytes = unhex(quotedIn(rest)[0] ?? "").subarray(0, Number(result));
      const at = name === "write" ? (offsets.get(fd) ?? 0) : Number(/(\d+)$/.exec(rest)?.[1]);
      if (name === "write") offsets.set(fd, at + bytes.length);
      ops.push({ kind: "write", path: found, at, bytes });
    } else throw new Error(`a call this disk does not know: ${line.slice(0, 200)}`);
  }
  return ops;
}

const quotedIn = (text: string): string[] => [...text.matchAll(quoted)].map(([, hex = ""]) => hex);

interface Reading {
  readonly inside: (hex: string) => string | null;
  readonly offsets: Map<string, number>;
}

/** Calls that name their file. */
function named(name: string, line: string, { inside, offsets }: Reading): Op[] {
  const result = Number(/ = (-?\d+)[^=]*$/.exec(line)?.[1] ?? -1);
  if (result < 0) return [];
  const [first = "", second = ""] = quotedIn(line);
  const path = inside(first);
  if (name === "openat") {
    offsets.set(String(result), 0);
    if (path === null || !line.includes("O_CREAT")) return [];
    return [{ kind: "open", path, cut: line.includes("O_TRUNC") }];
  }
  if (path === null) return [];
  if (name.startsWith("unlink")) return [{ kind: "unlink", path }];
  const to = inside(second);
  if (name.startsWith("rename") && to !== null) return [{ kind: "rename", path, to }];
  throw new Error(`a call this disk does not know: ${line.slice(0, 200)}`);
}

type Change = { readonly at: number; readonly bytes: Buffer } | { readonly size: number };

interface Inode {
  bytes: Buffer;
  waiting: Change[];
}

/** What is left of writes that were not synced. */
export type Luck = "nothing" | "everything" | "the first of it" | "blocks of it" | "sectors of it";

/** A disk with a cache that forgets. */
export class Disk {
  readonly #now = new Map<string, Inode>();
  readonly #safe = new Map<string, Inode>();
  #names: ((names: Map<string, Inode>) => void)[] = [];

  apply(op: Op): void {
    if (op.kind === "said") return;
    if (op.kind === "sync") {
      const inode = this.#now.get(op.path);
      if (inode !== undefined) settle(inode);
      for (const name of this.#names) name(this.#safe);
      this.#names = [];
    } else if (op.kind === "rename") {
      const inode = this.#inode(op.path);
      this.#rename((names) => {
        names.delete(op.path);
        names.set(op.to, inode);
      });
    } else if (op.kind === "unlink") this.#rename((names) => names.delete(op.path));
    else if (op.kind === "write") this.#inode(op.path).waiting.push(op);
    else if (op.kind === "truncate") this.#inode(op.path).waiting.push({ size: op.size });
    else if (op.cut) this.#inode(op.path).waiting.push({ size: 0 });
    else this.#inode(op.path);
  }

  #rename(change: (names: Map<string, Inode>) => void): void {
    change(this.#now);
    this.#names.push(change);
  }

  #inode(path: string): Inode {
    const known = this.#now.get(path);
    if (known !== undefined) return known;
    const made: Inode = { bytes: Buffer.alloc(0), waiting: [] };
    this.#rename((names) => names.set(path, made));
    return made;
  }

  /** Writes what the disk holds when the power goes now. */
  cut(into: string, luck: Luck, chance: (below: number) => number): void {
    const names = new Map(this.#safe);
    const some = luck === "nothing" ? 0 : chance(this.#names.length + 1);
    const kept = luck === "everything" ? this.#names.length : some;
    for (const name of this.#names.slice(0, kept)) name(names);
    for (const [path, inode] of names) {
      mkdirSync(dirname(join(into, path)), { recursive: true, mode: 0o700 });
      const left = leftOf(inode.waiting, luck, chance);
      writeFileSync(join(into, path), left.reduce(changed, Buffer.from(inode.bytes)));
    }
  }
}

function settle(inode: Inode): void {
  inode.bytes = inode.waiting.reduce(changed, inode.bytes);
  inode.waiting = [];
}

function changed(bytes: Buffer, change: Change): Buffer {
  if ("size" in change) {
    const cut = Buffer.alloc(change.size);
    bytes.copy(cut, 0, 0, Math.min(bytes.length, change.size));
    return cut;
  }
  const end = change.at + change.bytes.length;
  const grown =
    end <= bytes.length ? bytes : Buffer.concat([bytes, Buffer.alloc(end - bytes.length)]);
  change.bytes.copy(grown, change.at);
  return grown;
}

function leftOf(waiting: Change[], luck: Luck, chance: (below: number) => number): Change[] {
  if (luck === "nothing") return [];
  if (luck === "everything") return waiting;
  if (luck === "the first of it") return waiting.slice(0, chance(waiting.length + 1));
  const unit = luck === "blocks of it" ? 4096 : 512;
  return waiting.flatMap((change) => {
    if ("size" in change) return chance(2) === 0 ? [change] : [];
    return pieces(change, unit).filter(() => chance(2) === 0);
  });
}

/** A write as the device sees it: split where its blocks begin. */
function pieces({ at, bytes }: { at: number; bytes: Buffer }, unit: number): Change[] {
  const split: Change[] = [];
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(bytes.length, from + unit - ((at + from) % unit));
    split.push({ at: at + from, bytes: bytes.subarray(from, to) });
    from = to;
  }
  return split;
}
