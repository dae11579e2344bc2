/**
 * `/proc/<app>/`: state as files, as in Unix. `status` and `limits` are `name: value` lines, `env`
 * has names only, `log` the newest lines.
 */
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
