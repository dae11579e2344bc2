/**
 * `/proc`, both of them. Ours: `/proc/<app>/` is state as files, as in Unix; `status` and `limits`
 * are `name: value` lines, `env` has names only, `log` the newest lines, `tail` the last lines of
 * the process that runs, or that ended last. The host's: what a process
 * uses (proc_pid_stat(5), proc_pid_statm(5)), and what it has to give (proc_meminfo(5)).
 */
import { readFileSync } from "node:fs";
import type { App, Apps } from "../app/mod.ts";
import { type Fs, pseudo } from "../fs/mod.ts";
import type { Storage } from "../storage/mod.ts";
import type { Proc } from "./proc.ts";

/** Lines of the log that `/proc/<app>/log` shows. */
const logLinesMax = 200;

export function mountProcfs(fs: Fs, of: { apps: Apps; storage: Storage; proc: Proc }): void {
  const { apps, storage, proc } = of;
  const names = () => apps.ls().map((app) => app.name);
  fs.mountEach("/proc", names, (name) => {
    const app = apps.find(name);
    if (app === null || app.name !== name) return null;
    return pseudo({
      status: () => fields({ ...proc.status(app) }),
      limits: () => limitsOf(apps, app),
      env: () =>
        apps.env
          .ls(app.id)
          .map((entry) => `${entry.name}\n`)
          .join(""),
      tail: () =>
        proc
          .tail(app)
          .map((text) => `${text}\n`)
          .join(""),
      log: () => {
        const lines = storage.logs.query({ appId: app.id, limit: logLinesMax });
        return lines.map(({ at, level, text }) => `${stamp(at)} ${level} ${text}\n`).join("");
      },
    });
  });
}

function limitsOf(apps: Apps, app: App): string {
  if (app.releaseId === null) return "";
  const { memory, cpu, idle, rate } = apps.release(app.releaseId).manifest;
  return fields({ memory, cpu, idle, rate });
}

function fields(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}: ${value ?? "-"}\n`)
    .join("");
}

function stamp(at: number): string {
  return new Date(at).toISOString();
}

export interface Usage {
  /** Resident memory, shared pages of the runtime included. */
  readonly rssBytes: number;
  /** What it holds alone: without pages of files, which all processes share. */
  readonly ownBytes: number;
  /** Processor time since its start, user and system. */
  readonly cpuMs: number;
}

const nothing: Usage = { rssBytes: 0, ownBytes: 0, cpuMs: 0 };
const pageBytes = 4096;
/** Linux counts in hundredths of a second for user space, whatever its own clock. */
const tickMs = 10;

/** Zeros when there is no such process, or the host has no /proc. */
export function usageOf(pid: number | null): Usage {
  if (pid === null) return nothing;
  try {
    const [, pages, shared] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ").map(Number);
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name may hold spaces and parentheses: the fields count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    const [rss = 0, files = 0] = [pages, shared];
    return {
      rssBytes: rss * pageBytes,
      ownBytes: (rss - files) * pageBytes,
      cpuMs: ticks * tickMs,
    };
  } catch {
    // It has exited meanwhile.
    return nothing;
  }
}

/** Memory the host can give without hurting anybody; 0 when it does not say. */
export function freeBytes(): number {
  try {
    const match = /^MemAvailable:\s+([0-9]+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"));
    return Number(match?.[1] ?? 0) * 1024;
  } catch {
    // A host without /proc: nothing is known to be free.
    return 0;
  }
}
