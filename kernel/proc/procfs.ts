/**
 * `/proc`, both of them. Ours: `/proc/<app>/` is state as files, as in Unix; `status` and `limits`
 * are `name: value` lines, `env` has names only, `log` the newest lines. The host's: what a process
 * uses (proc_pid_stat(5), proc_pid_statm(5)).
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
  /** Processor time since its start, user and system. */
  readonly cpuMs: number;
}

const nothing: Usage = { rssBytes: 0, cpuMs: 0 };
const pageBytes = 4096;
/** Linux counts in hundredths of a second for user space, whatever its own clock. */
const tickMs = 10;

/** Zeros when there is no such process, or the host has no /proc. */
export function usageOf(pid: number | null): Usage {
  if (pid === null) return nothing;
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name may hold spaces and parentheses: the fields count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { rssBytes: pages * pageBytes, cpuMs: ticks * tickMs };
  } catch {
    // It has exited meanwhile.
    return nothing;
  }
}
