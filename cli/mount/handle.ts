/**
 * What is open: a file, read ahead a window at a time while it is read in order, or a directory, read
 * a page at a time.
 *
 * Rules: reads of one handle are one after another; what is given is of the file that was opened, or
 * ESTALE; at most one window of a file is in memory.
 */
import { SysError } from "../../kernel/errno.ts";
import { directoryBytes, type Entry } from "./protocol.ts";
import type { Machine, Stat } from "./tree.ts";

export interface Handle {
  /** Bytes from an offset, `size` at most: of a file, or of a directory's entries. */
  read(offset: number, size: number): Promise<Uint8Array>;
}

/** Bytes of a file asked for at once when it is read in order. */
const windowBytes = 1024 * 1024;
/** Entries of a directory asked for at once. */
const pageEntries = 1_000;

/** Runs what it is given one after another. */
function inTurn(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work, work);
    last = next.catch(() => undefined);
    return next;
  };
}

const stale = (path: string): SysError =>
  new SysError("ESTALE", `cannot read ${path}: it has been replaced meanwhile`);

/** Bytes of a file that are in memory, from `at` on; `whole`: there are no others. */
interface Window {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly whole: boolean;
}

/** A file as it was when it was opened. */
export function openFile(machine: Machine, stat: Stat): Handle {
  const { path } = stat;
  const made = stat.hash === null && stat.sizeBytes === 0;
  const turn = inTurn();
  let window: Window = { at: 0, bytes: new Uint8Array(0), whole: false };

  const isSame = ({ hash, sizeBytes, modifiedAt }: Stat): boolean =>
    hash === stat.hash && sizeBytes === stat.sizeBytes && modifiedAt === stat.modifiedAt;

  const fetch = async (offset: number, size: number): Promise<Window> => {
    if (made) return { at: 0, bytes: await machine.read(path, 0, null), whole: true };
    const inOrder = offset === window.at + window.bytes.length;
    const length = inOrder ? Math.max(windowBytes, size) : size;
    const bytes = await machine.read(path, offset, length);
    if (!isSame(await machine.stat(path))) throw stale(path);
    return { at: offset, bytes, whole: false };
  };

  const holds = (offset: number, size: number): boolean => {
    const end = Math.min(offset + size, made ? Number.POSITIVE_INFINITY : stat.sizeBytes);
    return window.whole || (offset >= window.at && end <= window.at + window.bytes.length);
  };

  return {
    read: (offset, size) =>
      turn(async () => {
        if (!made && offset >= stat.sizeBytes) return new Uint8Array(0);
        if (!holds(offset, size)) window = await fetch(offset, size);
        const from = offset - window.at;
        return window.bytes.subarray(from, from + size);
      }),
  };
}

const base = ({ path }: Stat): string => path.slice(path.lastIndexOf("/") + 1);

/** A directory; `seen` is told what is learnt of its entries. */
export function openDirectory(
  machine: Machine,
  path: string,
  seen: (stats: readonly Stat[]) => void,
): Handle {
  const entries: Entry[] = [
    { name: ".", kind: "dir" },
    { name: "..", kind: "dir" },
  ];
  const turn = inTurn();
  let after: string | null = "";

  const more = async (): Promise<void> => {
    const page: Stat[] = await machine.ls(path, after ?? "", pageEntries);
    seen(page);
    for (const stat of page) entries.push({ name: base(stat), kind: stat.kind });
    const last: Stat | undefined = page.length < pageEntries ? undefined : page.at(-1);
    after = last === undefined ? null : base(last);
  };

  return {
    read: (offset, size) =>
      turn(async () => {
        while (entries.length <= offset && after !== null) await more();
        return directoryBytes(entries.slice(offset, offset + size / 24), { offset, size });
      }),
  };
}
