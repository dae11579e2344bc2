/**
 * A kernel without processes, for tests of apps and of the command: every domain is real but proc,
 * whose proof the test decides. Calls go through the real dispatcher.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "../cli/deploy/upload.ts";
import { app } from "../kernel/app/calls.ts";
import { type Apps, migrations as appMigrations, createApps } from "../kernel/app/mod.ts";
import { type Caller, localOwner } from "../kernel/caller.ts";
import { type Errno, SysError } from "../kernel/errno.ts";
import { fs } from "../kernel/fs/calls.ts";
import { createFs, type Fs, migrations as fsMigrations } from "../kernel/fs/mod.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Machine, realMachine } from "../kernel/machine.ts";
import { createNet, migrations as netMigrations } from "../kernel/net/mod.ts";
import type { Proc } from "../kernel/proc/mod.ts";
import { createVolumes } from "../kernel/proc/volume/mod.ts";
import { createSecurity, migrations as securityMigrations } from "../kernel/security/mod.ts";
import {
  createStorage,
  type Storage,
  type StorageOptions,
  migrations as storageMigrations,
} from "../kernel/storage/mod.ts";
import { createDispatcher } from "../kernel/syscall/mod.ts";

const migrations = [
  ...storageMigrations,
  ...securityMigrations,
  ...fsMigrations,
  ...appMigrations,
  ...netMigrations,
];

export interface AppKernel extends AsyncDisposable {
  readonly dataDir: string;
  storage: Storage;
  fs: Fs;
  apps: Apps;
  /** What proving a release does; replace it to refuse or to wait. */
  prove: Proc["prove"];
  /** Moves the clock. */
  pass(ms: number): void;
  /** Closes and opens again, as a restart does. */
  restart(storage?: Partial<StorageOptions>): Promise<void>;
  /** Makes a call as the owner, or as another caller. */
  call(
    name: string,
    input: unknown,
    options?: { caller?: Caller; signal?: AbortSignal },
  ): Promise<unknown>;
  /** The calls as the command makes them. */
  readonly client: Client;
}

export const owner = localOwner("boot");

/** Only what calls of other domains ask of a proc. */
function standIn(prove: Proc["prove"]): Proc {
  const proc: Pick<Proc, "prove" | "status"> = {
    prove,
    status: ({ name, id, releaseId }) => ({
      name,
      id,
      state: "static",
      pid: null,
      release: releaseId,
      restarts: 0,
      rssBytes: 0,
      cpuMs: 0,
      requests: 0,
      uptimeMs: 0,
      reason: null,
    }),
  };
  return proc as Proc;
}

export function appKernel(): AppKernel {
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-apps-"));
  const real = realMachine();
  let offsetMs = 0;
  const machine: Machine = { ...real, now: () => real.now() + offsetMs };

  const open = (options: Partial<StorageOptions> = {}) => {
    const storage = createStorage({ machine, dataDir, migrations, ...options });
    const security = createSecurity({ machine, storage, dataDir });
    const tree = createFs({ machine, storage });
    const apps = createApps({ machine, storage, fs: tree, security });
    const proc = standIn((about, release) => kernel.prove(about, release));
    const net = createNet({ machine, storage, apps, proc, security });
    const volume = createVolumes({
      machine,
      storage,
      fs: tree,
      enclose: proc.encloseVolume,
      running: () => [],
      stop: proc.stop,
    });
    const parts: Kernel = {
      machine,
      version: "0",
      storage,
      security,
      fs: tree,
      app: apps,
      proc,
      mode: {} as Kernel["mode"],
      power: {} as Kernel["power"],
      system: {} as Kernel["system"],
      upgrade: {} as Kernel["upgrade"],
      channel: {} as Kernel["channel"],
      net,
      iface: {} as Kernel["iface"],
      event: {} as Kernel["event"],
      // Nothing here is replicated, and nothing asks for a process on a volume.
      driver: {} as Kernel["driver"],
      volume,
    };
    return { storage, fs: tree, apps, net, dispatcher: createDispatcher(parts, { app, fs }) };
  };
  let opened = open();

  const dispatch = async (
    call: string,
    input: unknown,
    options: Partial<Parameters<typeof opened.dispatcher.dispatch>[0]>,
  ) => {
    const reply = await opened.dispatcher.dispatch({ caller: owner, ...options, call, input });
    return reply.kind === "json" ? reply.value : reply;
  };

  const kernel: AppKernel = {
    dataDir,
    ...opened,
    prove: async () => undefined,
    pass: (ms) => {
      offsetMs += ms;
    },
    async restart(options) {
      await opened.net.close();
      await opened.storage.close();
      opened = open(options);
      Object.assign(kernel, { storage: opened.storage, fs: opened.fs, apps: opened.apps });
    },
    call: (name, input, options = {}) => dispatch(name, input, options),
    client: {
      call: (name, input) => dispatch(name, input, {}),
      upload: (name, input, body) => dispatch(name, input, { body }),
    },
    async [Symbol.asyncDispose]() {
      await opened.net.close();
      await opened.storage.close();
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 50 });
    },
  };
  return kernel;
}

/** The refusal something ends in; fails when it does not. */
export async function refusal(work: () => unknown): Promise<SysError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SysError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** Its errno alone. */
export const errnoOf = async (work: () => unknown): Promise<Errno> => (await refusal(work)).code;

/** Stores texts and answers them as files of a release. */
export async function stored(fs: Fs, files: Record<string, string>) {
  const bytes = new TextEncoder();
  return Promise.all(
    Object.entries(files).map(async ([path, text]) => {
      const body = new Blob([bytes.encode(text)]).stream();
      const { hash, sizeBytes } = await fs.blobs.put({ hash: null }, body);
      return { path, hash, sizeBytes, mode: 0o644 };
    }),
  );
}
