/**
 * The order of a deploy and of a rollback: nothing is switched that has not proved itself, and
 * what fails or is cut leaves the old release serving and nothing of the new one.
 */
import type { Caller } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { App, Apps, Deploy, Release } from "./app.ts";

export interface Rollout {
  readonly apps: Apps;
  /** Runs a release beside the current one until it is ready, or throws. */
  readonly prove: (app: App, release: Release) => Promise<void>;
  /** Aborted when the caller has gone away. */
  readonly signal: AbortSignal;
}

export interface RolledOut {
  readonly app: App;
  readonly release: Release;
  readonly created: boolean;
}

/** Stage, prove, switch. Whatever `stage` and `prove` throw; ECANCELED when the caller is gone. */
export async function deploy(on: Rollout, from: Caller, what: Deploy): Promise<RolledOut> {
  const { app, release, created } = await on.apps.stage(from, what);
  return { app: await proveAndSwitch(on, app, release), release, created };
}

async function proveAndSwitch(on: Rollout, app: App, release: Release): Promise<App> {
  try {
    stillWanted(on.signal, app.name);
    if (release.manifest.server !== null) await on.prove(app, release);
    stillWanted(on.signal, app.name);
    return await on.apps.switchTo(release);
  } catch (error) {
    await on.apps.abandon(release);
    throw error;
  }
}

/** Proves and switches to an earlier release: a number, an id, or the one before this. ENOENT. */
export async function rollback(
  on: Rollout,
  nameOrId: string,
  to: string | undefined,
): Promise<RolledOut> {
  const app = on.apps.get(nameOrId);
  const release = target(app, on.apps.releases(app.id), to);
  return { app: await proveAndSwitch(on, app, release), release, created: false };
}

/** The release a rollback means. Pure. */
function target(app: App, releases: readonly Release[], to: string | undefined): Release {
  const current = releases.find((release) => release.id === app.releaseId);
  const found =
    to === undefined
      ? releases.find((release) => release.number < (current?.number ?? 0))
      : releases.find((release) => release.id === to || String(release.number) === to);
  if (found !== undefined) return found;
  const state = to === undefined ? "no earlier release" : `no such release: ${to.slice(0, 100)}`;
  throw new SysError("ENOENT", `cannot roll back "${app.name}": ${state}`, {
    hint: `fazt app releases ${app.name} lists them`,
  });
}

function stillWanted(signal: AbortSignal, name: string): void {
  if (!signal.aborted) return;
  throw new SysError("ECANCELED", `cannot switch "${name}": the caller has gone away`, {
    hint: "deploy again",
  });
}
