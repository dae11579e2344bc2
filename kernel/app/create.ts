/**
 * Makes the app domain out of its parts. Every change is: one durable write, the directory read
 * again, the watchers told; in that order, so that who is told of a thing can see it.
 */
import { allows, type Caller } from "../caller.ts";
import type { Enclose } from "../enclosed.ts";
import { SysError } from "../errno.ts";
import type { Fs } from "../fs/mod.ts";
import type { Machine } from "../machine.ts";
import type { Security } from "../security/mod.ts";
import type { Storage } from "../storage/mod.ts";
import type { App, AppEvent, Apps, Deploy, Move, Release, Watcher } from "./app.ts";
import {
  createCartridgeProgram,
  exportFrames,
  frameBytes,
  importCartridge,
  unpackCartridge,
} from "./cartridge/mod.ts";
import { type Collector, createCollector } from "./collect.ts";
import { createDirectory, type Directory } from "./directory.ts";
import { createEnvironment } from "./env.ts";
import { createHolds, type Holds } from "./hold.ts";
import { limits, type Retention } from "./limits.ts";
import { createNaming } from "./naming.ts";
import { checkDeploy, createReleases, type Releases } from "./release.ts";
import { switchedReleases } from "./row.ts";
import { attach } from "./view.ts";

export interface AppsOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly fs: Fs;
  readonly security: Security;
  /** The command line of this very program, without its words; needed for cartridges. */
  readonly program?: readonly string[];
  /** How a stranger's cartridge is read in the sandbox; without it none is. */
  readonly enclose?: Enclose;
}

/** What the parts of this domain share. */
export interface Parts extends Omit<AppsOptions, "program" | "enclose"> {
  readonly directory: Directory;
  readonly releases: Releases;
  readonly holds: Holds;
  readonly collector: Collector;
  /** What holds now. */
  readonly retention: Retention;
  /** Reads the app again and answers it. */
  readonly reread: (appId: string) => App;
  readonly tell: (event: AppEvent) => Promise<void>;
  readonly moves: Move[];
}

/** The app domain, on the parts below it. Sweeps up deploys that an earlier run left unfinished. */
export function createApps(options: AppsOptions): Apps {
  const { machine, storage, fs, security } = options;
  const directory = createDirectory(storage.read);
  const releases = createReleases({ machine, storage, fs });
  const [holds, retention] = [createHolds(), retentionOf(storage)];
  const { watch, tell } = createWatchers(storage);
  const collector = createCollector({
    machine,
    storage,
    fs,
    releases,
    holds,
    retention,
    tell,
    forgotten: directory.refresh,
  });
  const reread = (appId: string): App => {
    directory.refresh(appId);
    return directory.get(appId);
  };
  const parts: Parts = {
    machine,
    storage,
    fs,
    security,
    directory,
    releases,
    holds,
    collector,
    retention,
    reread,
    tell,
    moves: [],
  };
  const env = createEnvironment(storage, security);
  storage.onCheck("app", { owners: collector.ownerless });
  attach(parts);
  // No deploy is under way at boot: whatever is staged was cut. Only gc waits for this.
  const swept = collector
    .orphans(0)
    .catch((error: unknown) => logFailure(storage, "sweep at boot", error));
  storage.onGc("app", () => swept.then(() => collector.run()));

  const { program: words = [], enclose = noSandbox } = options;
  const program = createCartridgeProgram({ machine, storage, program: words, enclose });
  const deploys = createDeploys(parts);
  const environment = telling(env, parts);
  watch(forgetting(security));

  return {
    ls: directory.ls,
    find: directory.find,
    get: directory.get,
    subject: directory.subject,
    release: releases.get,
    releases: (appId) => switchedReleases(storage.read, appId),
    site: releases.site,
    ...deploys,
    ...createNaming(parts),
    async exportCartridge(app, fazt) {
      const frames = exportFrames(
        { machine, storage, fs, env, release: releases.get },
        { app, fazt },
      );
      return await program.write(frameBytes(frames), storage.volumeDir(app.id));
    },
    importCartridge: (how) =>
      importCartridge(
        { ...parts, program, apps: { ...deploys, release: releases.get, env: environment } },
        how,
      ),
    unpackCartridge: (body) => unpackCartridge({ fs, program }, body),
    env: environment,
    watch,
    onReplace: (move) => void parts.moves.push(move),
  };
}

/** The environment of apps, whose changes are told. */
function telling(
  env: ReturnType<typeof createEnvironment>,
  { machine, reread, tell }: Parts,
): Apps["env"] {
  return {
    ls: env.ls,
    async set(appId, entries, caller) {
      await env.set(appId, entries, { caller, at: machine.now() });
      void tell({ kind: "changed", app: reread(appId) });
    },
    async rm(appId, name) {
      await env.rm(appId, name);
      void tell({ kind: "changed", app: reread(appId) });
    },
    resolve: env.resolve,
    secret: env.secret,
  };
}

/** What an app signed is good for nothing once it will not come back. */
const forgetting =
  ({ signing }: Security): Watcher =>
  async (event) => {
    if (event.kind === "purged") await signing.forget(event.app.id);
  };

/** How long things are kept, as the owner may change it. */
function retentionOf(storage: Storage): Retention {
  const { releasesKept, removedKeptMs } = limits;
  const retention: Retention = { releasesKept, removedKeptMs };
  const names = ["releasesKept", "removedKeptMs"] as const;
  storage.adjust({ domain: "app", limits: retention, names });
  return retention;
}

/** Stage, switch, abandon. */
function createDeploys(parts: Parts): Pick<Apps, "stage" | "switchTo" | "abandon"> {
  const { machine, fs, directory, releases, holds, collector, reread, tell } = parts;

  const forget = async (release: Pick<Release, "id">): Promise<void> => {
    try {
      await releases.erase([release.id]);
    } finally {
      // What could not be erased now is swept later, as nobody's.
      holds.release(release.id);
    }
    await collector.orphans(limits.stagedGraceMs);
  };

  const stage = async (from: Caller, deploy: Deploy) => {
    checkDeploy(deploy);
    const newAppId = machine.id("app");
    const releaseId = machine.id("rel");
    const hold = {
      appId: directory.find(deploy.name)?.id ?? newAppId,
      name: deploy.name,
      releaseId,
      sinceMs: machine.now(),
    };
    holds.take(hold);
    try {
      const { userId } = from;
      const egressAgreed = deploy.foreign !== true && allows(from.grants, "net:write");
      const staging = { deploy, releaseId, newAppId, userId, egressAgreed };
      const { appId, created } = await releases.insert(staging);
      hold.appId = appId;
      await fs.manifests.put(releaseId, appId, deploy.files);
      return { app: reread(appId), release: releases.get(releaseId), created };
    } catch (error) {
      await forget({ id: releaseId });
      throw error;
    }
  };

  return {
    stage,
    async switchTo(release, also) {
      holds.check(release.appId, "switch", release.id);
      const staged = holds.has(release.id);
      await releases.point(release, also === undefined ? { staged } : { staged, also });
      holds.release(release.id);
      const app = reread(release.appId);
      void tell({ kind: "switched", app, release });
      return app;
    },
    async abandon(release) {
      const app = directory.find(release.appId);
      if (app !== null && app.releaseId !== release.id)
        await tell({ kind: "abandoned", app, release });
      await forget(release);
    },
  };
}

/** Watchers are told one after the other; one that fails is logged and disturbs nobody. */
function createWatchers(storage: Storage) {
  const watchers = new Set<Watcher>();
  const tellOne = async (told: Watcher, event: AppEvent): Promise<void> => {
    try {
      await told(event);
    } catch (error) {
      logFailure(storage, `watcher of "${event.kind}"`, error);
    }
  };
  return {
    watch(told: Watcher): () => void {
      watchers.add(told);
      return () => void watchers.delete(told);
    },
    tell: async (event: AppEvent): Promise<void> => {
      await Promise.all([...watchers].map((told) => tellOne(told, event)));
    },
  };
}

function noSandbox(): never {
  throw new SysError("EPERM", "cannot read a cartridge: there is no sandbox to read it in");
}

function logFailure(storage: Storage, what: string, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const line = { app: "kernel", appId: null, releaseId: null, level: "error" } as const;
  storage.logs.append({ ...line, text: `app: ${what}: ${text}` });
}
