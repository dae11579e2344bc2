/**
 * The tree of a machine as a file system of this computer: requests of the Linux kernel in, answers
 * out, by the ordinary calls `fs.stat`, `fs.ls` and `fs.read`. Nothing here knows the device.
 *
 * Rules
 * 1. Read-only: what would change something is EROFS, what is not known is ENOSYS.
 * 2. What a machine refuses is its errno; a machine that is gone, or does not answer in time, is EIO.
 * 3. What is read through one handle is one file: one that was replaced meanwhile is ESTALE.
 * 4. Files without a size (they are made when they are read) are read whole at once.
 */
import { SysError } from "../../kernel/errno.ts";
import type { Client } from "../client.ts";
import { type Handle, openDirectory, openFile } from "./handle.ts";
import { Nodes } from "./nodes.ts";
import {
  type Attributes,
  attributesAnswer,
  bytesAnswer,
  emptyAnswer,
  entryAnswer,
  errorAnswer,
  forgottenOf,
  handleOf,
  initAnswer,
  nameOf,
  numbers,
  opcodes,
  openAnswer,
  type Request,
  readOf,
  statfsAnswer,
  timesOf,
} from "./protocol.ts";

/** What a machine says of a file or directory. */
export interface Stat {
  readonly path: string;
  readonly kind: "file" | "dir";
  readonly sizeBytes: number;
  readonly modifiedAt: number;
  readonly hash: string | null;
  readonly mode: number;
}

/** The calls of one machine, each with the longest it may take. */
export interface Machine {
  stat(path: string): Promise<Stat>;
  ls(path: string, after: string, limit: number): Promise<Stat[]>;
  read(path: string, offset: number, length: number | null): Promise<Uint8Array>;
}

/** Seconds that the Linux kernel remembers names and attributes. */
const keptS = 1;
/** Milliseconds that what a listing said of its entries is remembered for those who look at each. */
const listedMs = 2_000;
/** Entries of listings that are remembered. */
const listedMax = 50_000;
/** The longest a machine may take for one call, ms. */
const answerMs = 30_000;
/** Bytes of a file without a size: who makes them when they are read makes no more. */
export const madeBytesMax = 64 * 1024 * 1024;

/** The calls of a client. */
export function machineOf(client: Client, signal: AbortSignal): Machine {
  const options = () => ({ signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]) });
  return {
    stat: async (path) => (await client.json("fs.stat", { path }, options())) as Stat,
    ls: async (path, after, limit) =>
      (await client.json("fs.ls", { path, after, limit }, options())) as Stat[],
    async read(path, offset, length) {
      const input = length === null ? { path, offset } : { path, offset, length };
      const pieces: Uint8Array[] = [];
      let bytes = 0;
      for await (const piece of client.bytes("fs.read", input, options())) {
        pieces.push(piece);
        bytes += piece.length;
        if (bytes > madeBytesMax) throw new SysError("EIO", `cannot read ${path}: too large`);
      }
      return Buffer.concat(pieces);
    },
  };
}

/** The number of what a call failed with. */
function numberOf(error: unknown): number {
  const code = error instanceof SysError ? error.code : "EIO";
  if (code === "ENOKEY" || code === "EKEYREJECTED") return numbers.EACCES;
  return Object.hasOwn(numbers, code) ? numbers[code as keyof typeof numbers] : numbers.EIO;
}

/** Requests that would change something: SETATTR to RENAME2. */
const changes = new Set([4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47]);

/** One exported tree. `owner` is whom everything belongs to. */
export class ExportedTree {
  readonly #machine: Machine;
  readonly #owner: { readonly uid: number; readonly gid: number };
  readonly #nodes = new Nodes();
  readonly #handles = new Map<number, Handle>();
  readonly #listed = new Map<string, { readonly stat: Stat; readonly untilMs: number }>();
  #lastHandle = 0;

  constructor(machine: Machine, owner: { readonly uid: number; readonly gid: number }) {
    this.#machine = machine;
    this.#owner = owner;
  }

  /** The answer to a request; null when none is wanted. Never throws. */
  async answer(request: Request): Promise<Uint8Array | null> {
    try {
      return await this.#answer(request);
    } catch (error) {
      return errorAnswer(request.unique, numberOf(error));
    }
  }

  async #answer(request: Request): Promise<Uint8Array | null> {
    const { opcode, unique, node, body } = request;
    switch (opcode) {
      case opcodes.init:
        return initAnswer(unique);
      case opcodes.lookup:
        return await this.#lookUp(request);
      case opcodes.getattr:
        return attributesAnswer(unique, await this.#attributesOf(node), keptS);
      case opcodes.open:
        return await this.#open(request);
      case opcodes.opendir:
        return openAnswer(unique, this.#keep(this.#directory(node)), false);
      case opcodes.read:
      case opcodes.readdir:
        return await this.#read(request);
      case opcodes.release:
      case opcodes.releasedir:
        this.#handles.delete(handleOf(body));
        return emptyAnswer(unique);
      case opcodes.flush:
        return emptyAnswer(unique);
      case opcodes.statfs:
        return statfsAnswer(unique);
      default:
        return this.#rest(request);
    }
  }

  /** What needs no answer, or a refusal. */
  #rest({ opcode, unique, node, body }: Request): Uint8Array | null {
    if (opcode === opcodes.forget) this.#nodes.forget(node, timesOf(body));
    if (opcode === opcodes.batchForget) {
      for (const one of forgottenOf(body)) this.#nodes.forget(one.node, one.times);
    }
    const silent = [opcodes.forget, opcodes.batchForget, opcodes.destroy] as const;
    if (silent.some((one) => one === opcode)) return null;
    // ENOSYS to INTERRUPT: none is sent any more, and who waits waits for the answer, 30 s at most.
    return errorAnswer(unique, changes.has(opcode) ? numbers.EROFS : numbers.ENOSYS);
  }

  async #lookUp({ unique, node, body }: Request): Promise<Uint8Array> {
    const name = nameOf(body);
    const dir = this.#nodes.path(node);
    if (name === null || dir === null) return errorAnswer(unique, numbers.ENOENT);
    const path = dir === "/" ? `/${name}` : `${dir}/${name}`;
    const stat = await this.#stat(path);
    return entryAnswer(unique, this.#attributes(this.#nodes.lookUp(path), stat), keptS);
  }

  async #attributesOf(node: number): Promise<Attributes> {
    const path = this.#pathOf(node);
    // The root is there also while the machine is not: nobody hangs who only looks where it is.
    if (path === "/") return this.#attributes(node, rootStat);
    return this.#attributes(node, await this.#stat(path));
  }

  async #open({ unique, node }: Request): Promise<Uint8Array> {
    const stat = await this.#machine.stat(this.#pathOf(node));
    if (stat.kind === "dir") return errorAnswer(unique, numbers.EISDIR);
    const made = stat.hash === null && stat.sizeBytes === 0;
    return openAnswer(unique, this.#keep(openFile(this.#machine, stat)), made);
  }

  #directory(node: number): Handle {
    return openDirectory(this.#machine, this.#pathOf(node), (stats) => this.#remember(stats));
  }

  async #read({ unique, body }: Request): Promise<Uint8Array> {
    const { handle, offset, size } = readOf(body);
    const open = this.#handles.get(handle);
    if (open === undefined) return errorAnswer(unique, numbers.EINVAL);
    return bytesAnswer(unique, await open.read(offset, size));
  }

  #keep(handle: Handle): number {
    this.#lastHandle += 1;
    this.#handles.set(this.#lastHandle, handle);
    return this.#lastHandle;
  }

  #pathOf(node: number): string {
    const path = this.#nodes.path(node);
    if (path === null) throw new SysError("ENOENT", "no such file");
    return path;
  }

  async #stat(path: string): Promise<Stat> {
    const listed = this.#listed.get(path);
    if (listed !== undefined && listed.untilMs > performance.now()) return listed.stat;
    return await this.#machine.stat(path);
  }

  #remember(stats: readonly Stat[]): void {
    if (this.#listed.size > listedMax) this.#listed.clear();
    const untilMs = performance.now() + listedMs;
    for (const stat of stats) this.#listed.set(stat.path, { stat, untilMs });
  }

  #attributes(node: number, { kind, sizeBytes, modifiedAt, mode }: Stat): Attributes {
    // Its owner here may read it, whatever the bits are there; nobody writes.
    const bits = kind === "dir" ? (mode & 0o555) | 0o500 : (mode & 0o555) | 0o400;
    return { node, kind, sizeBytes, modifiedAt, mode: bits, ...this.#owner };
  }
}

const rootStat: Stat = {
  path: "/",
  kind: "dir",
  sizeBytes: 0,
  modifiedAt: 0,
  hash: null,
  mode: 0o555,
};
