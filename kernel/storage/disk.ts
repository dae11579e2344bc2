/**
 * How full the data partition is, and what follows: at the mark the database takes no more writes
 * but those that free space, log the owner in, or record what was done.
 *
 * Rules: the share is counted as df(1) does (space reserved for root is nobody's); the figures are
 * cached, so that a write costs no system call.
 */
import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { type Errno, isErrno } from "../errno.ts";
import type { Machine } from "../machine.ts";
import type { StorageLimits } from "./limits.ts";
import type { StorageMode } from "./storage.ts";

export interface DiskFigures {
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Between 0 and 1. */
  readonly used: number;
}

/** `statfs` of a directory, as figures. Pure in its argument. */
export function figuresOf(fs: {
  bsize: number;
  blocks: number;
  bfree: number;
  bavail: number;
}): DiskFigures {
  const usedBlocks = fs.blocks - fs.bfree;
  const usable = usedBlocks + fs.bavail;
  return {
    freeBytes: fs.bavail * fs.bsize,
    totalBytes: usable * fs.bsize,
    used: usable === 0 ? 1 : usedBlocks / usable,
  };
}

/** The marks of a disk, as shares in use. */
export interface Marks {
  readonly diskUsedMax: number;
  /** How far below the mark it must fall before writes begin again. */
  readonly diskBackShare: number;
}

/** The mode a disk that is `used` full asks for, given the one before. Pure. */
export function modeAt(used: number, before: StorageMode, marks: Marks): StorageMode {
  const mark = marks.diskUsedMax - (before === "read-only" ? marks.diskBackShare : 0);
  return used > mark ? "read-only" : "normal";
}

/** Why SQLite could not open or make a file: it says only that it could not. */
export function whyNotOpened(path: string): Errno {
  try {
    accessSync(dirname(path), constants.R_OK | constants.W_OK | constants.X_OK);
    if (existsSync(path)) accessSync(path, constants.R_OK | constants.W_OK);
    return statfsSync(dirname(path)).bavail === 0 ? "ENOSPC" : "EIO";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    return isErrno(code) ? code : "EIO";
  }
}

export interface DiskOptions {
  readonly machine: Machine;
  readonly path: string;
  readonly limits: StorageLimits;
}

/** A partition that is looked at now and then. */
export class Disk {
  readonly #options: DiskOptions;
  #figures: DiskFigures | null = null;
  #lookedAtMs = 0;
  #mode: StorageMode = "normal";

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  figures(): DiskFigures {
    const { machine, path, limits } = this.#options;
    const nowMs = machine.monotonicMs();
    if (this.#figures === null || nowMs - this.#lookedAtMs > limits.diskFiguresMs) {
      this.#figures = figuresOf(statfsSync(path));
      this.#lookedAtMs = nowMs;
    }
    return this.#figures;
  }

  // A disk that tells no figures is not thereby full; the write itself will say what is wrong.
  mode(): StorageMode {
    let figures: DiskFigures;
    try {
      figures = this.figures();
    } catch {
      return "normal";
    }
    this.#mode = modeAt(figures.used, this.#mode, this.#options.limits);
    return this.#mode;
  }

  /** Forgets the cached figures: the disk has just said something else. */
  lookAgain(): void {
    this.#figures = null;
  }
}
