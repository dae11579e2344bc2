/**
 * The only composition root: makes the kernel, domain by domain, in boot order. Read it to know
 * what depends on what; nothing is wired anywhere else.
 */
import { resolve } from "node:path";
import { type App, migrations as appMigrations, createApps } from "./app/mod.ts";
import { type Closing, createClosing, inTime, type Phase } from "./closing.ts";
import { createDriver, type DriverOptions, migrations as driverMigrations } from "./driver/mod.ts";
import { createMounts } from "./driver/mount/mod.ts";
import type { Enclose } from "./enclosed.ts";
import { SysError } from "./errno.ts";
import { createFs, migrations as fsMigrations } from "./fs/mod.ts";
import type { Kernel } from "./kernel.ts";
import { type Machine, realMachine } from "./machine.ts";
import { createInterfaces, type NetworkHost } from "./net/iface/mod.ts";
import { createNet, migrations as netMigrations, type Resolve } from "./net/mod.ts";
import {
  type Channel,
  migrations as channelMigrations,
  createChannel,
} from "./proc/channel/mod.ts";
import { createEvents, migrations as eventMigrations } from "./proc/event/mod.ts";
import { createProc, type Launcher, type Proc, migrations as procMigrations } from "./proc/mod.ts";
import {
  createModes,
  type Measures,
  type ModeActions,
  type Modes,
  measure,
} from "./proc/mode/mod.ts";
import { createPower, type PowerHost } from "./proc/power/mod.ts";
import {
  createSystem,
  keysOf,
  type LookOptions,
  lookAt,
  lookAtDatabase,
  type System,
  type SystemHost,
} from "./proc/system/mod.ts";
import {
  createUpgrade,
  openSlots,
  releaseKeys,
  type Upgrade,
  type UpgradeOptions,
} from "./proc/upgrade/mod.ts";
import { createVolumes } from "./proc/volume/mod.ts";
import { createSecurity, migrations as securityMigrations } from "./security/mod.ts";
import {
  createStorage,
  type EncloseCheck,
  type Migration,
  type Storage,
  type StorageOptions,
  migrations as storageMigrations,
} from "./storage/mod.ts";
import { createDispatcher, type Dispatcher, mountSysfs, table } from "./syscall/mod.ts";

/** What a boot reaches, in order. */
export type BootTarget = "storage" | "security" | "fs" | "apps" | "proc" | "net";

export interface BootOptions {
  readonly dataDir: string;
  readonly version: string;
  /** How an app process is started: the command line of this very program. */
  readonly launcher: Launcher;
  /** Runs apps without a sandbox where there is none; the owner must have asked for it. */
  readonly insecureNoSandbox?: boolean;
  readonly machine?: Machine;
  /** The network under the appliance; absent: this machine's network belongs to its host. */
  readonly network?: NetworkHost;
  /** The machine's power; absent: this machine is its host's to restart and switch off. */
  readonly power?: PowerHost;
  /** The operating system in two slots below the appliance; absent: it is the host's. */
  readonly system?: SystemHost;
  /**
   * Ends this kernel and boots the next one, because the data directory is another machine's now;
   * absent: as in an emergency, whoever watches over the process does that.
   */
  readonly startAfresh?: (reason: string) => void;
  /** What is measured of memory; the host's own when absent. */
  readonly measure?: () => Measures;
  /** How apps' requests find addresses; the machine's resolver when it is absent. */
  readonly resolve?: Resolve;
  /** Told of every target that is reached, in order. */
  readonly reached?: (target: BootTarget) => void;
  /** Limits of storage other than the standard ones, such as the mark of the disk. */
  readonly storageLimits?: NonNullable<StorageOptions["limits"]>;
  /** Limits of the replica other than the standard ones, such as how often a restore tries again. */
  readonly replicaLimits?: NonNullable<DriverOptions["limits"]>;
  /** Processes of the kernels that answer beside this one until it has taken over. */
  readonly beside?: readonly number[];
  /** The program's slots, and who replaces this kernel by another; absent: nobody does. */
  readonly slots?: Pick<UpgradeOptions, "store" | "place" | "order"> &
    Partial<Pick<UpgradeOptions, "keys">>;
}

export interface Booted {
  readonly kernel: Kernel;
  readonly dispatcher: Dispatcher;
  /** When this kernel began to boot, on the machine's monotonic clock. */
  readonly bootedAtMs: number;
  /**
   * First half of handing over to another kernel: begins nothing by itself any more, lets go of the
   * data directory, and goes on answering. Resolves when the other may boot. EBUSY: a change takes
   * too long, and this kernel goes on as if nobody had asked.
   */
  yieldWork(): Promise<void>;
  /** Second half, once the other listens: tells whoever is connected to come again, and closes. */
  leave(): Promise<void>;
  /** The kernel before this one has gone: takes up what it left to be done. */
  alone(): void;
  /**
   * Ends everything, highest domain first, each in bounded time. Idempotent. ETIMEDOUT, naming what
   * did not end.
   */
  readonly close: Closing["close"];
  /** What an ending under way waits for, in words. */
  readonly waitsFor: Closing["waitsFor"];
}

/** The schema of the whole system, in order of version. */
export function allMigrations(): Migration[] {
  return [
    ...storageMigrations,
    ...securityMigrations,
    ...fsMigrations,
    ...appMigrations,
    ...netMigrations,
    ...procMigrations,
    ...eventMigrations,
    ...channelMigrations,
    ...driverMigrations,
  ].sort((a, b) => a.version - b.version);
}

/** What passes on what was made, and tells that its target is reached. */
function telling({ reached }: BootOptions): <T>(target: BootTarget, made: T) => T {
  return (target, made) => {
    reached?.(target);
    return made;
  };
}

/** Boots a kernel on a data directory. EBUSY, EBADMSG, EACCES, ENOSPC: see storage. */
export async function boot(options: BootOptions): Promise<Booted> {
  // What the sandbox binds and other processes open is named from the root.
  const dataDir = resolve(options.dataDir);
  const machine = options.machine ?? realMachine();
  const bootedAtMs = machine.monotonicMs();
  const at = telling(options);

  // The database first: everything else is rows in it.
  const limits = options.storageLimits ?? {};
  const migrations = allMigrations();
  const program = options.launcher.command.slice(0, -1);
  const storage = createStorage({ machine, dataDir, migrations, limits, program });
  const made: Part[] = [];
  try {
    at("storage", storage);
    return bootOn(storage, { ...options, machine, dataDir, program, bootedAtMs, made });
  } catch (error) {
    // Who is refused here may try again in the same process: nothing comes due any more, the
    // directory is free, its log whole.
    for (const part of made.toReversed()) await closed(part);
    await storage.close();
    throw error;
  }
}

/** What begins something by itself as soon as it is made. */
interface Part {
  close(): unknown;
}

/** Ends what was made for a boot that was refused: why it was is what is told. */
async function closed(part: Part): Promise<void> {
  try {
    await part.close();
  } catch {
    // Half a kernel cannot end in order.
  }
}

interface BootOn extends BootOptions {
  /** Takes what was made, for a boot that comes no further. */
  readonly made: Part[];
  readonly machine: Machine;
  readonly program: readonly string[];
  readonly bootedAtMs: number;
}

/** Everything above the database. */
function bootOn(storage: Storage, options: BootOn): Booted {
  const { version, launcher, machine, dataDir, program, bootedAtMs } = options;
  const at = telling(options);
  const keep = <T extends Part>(part: T): T => {
    options.made.push(part);
    return part;
  };
  const startAfresh = options.startAfresh ?? ((reason: string) => mode.end(reason));
  // Keys and callers before anything that holds a secret or answers anybody.
  const security = at("security", createSecurity({ machine, storage, dataDir, startAfresh }));
  const beside = (options.beside ?? []).length > 0;
  if (beside) security.share(true);
  // The tree, so that releases have files.
  const fs = at("fs", createFs({ machine, storage }));
  // Programs, which are files with a name and settings; strangers' are read in proc's sandbox.
  const encloseReader: Enclose = (dir, life) => proc.encloseReader(dir, life);
  const below = { machine, storage, fs, security, program };
  const app = at("apps", createApps({ ...below, enclose: encloseReader }));
  // What the owner attached of the host; nothing of it is looked at now.
  fs.fstab.start(createMounts({ machine, storage, fs, apps: app, security, dataDir }));
  // Processes, which run programs; they answer calls through the dispatcher below.
  const asked = { insecureNoSandbox: options.insecureNoSandbox ?? false };
  const proc: Proc = keep(
    createProc({
      ...{ ...asked, machine, storage, apps: app, fs, dataDir, launcher },
      beside: options.beside ?? [],
      answer: (call) => dispatcher.answer(call),
      prepare: (about, release, attempt) => volume.migrate(about, release, attempt),
    }),
  );
  // Apps' own databases from outside, by processes in the sandbox that proc found.
  const enclose = (appId: string, copy?: string) => proc.encloseVolume(appId, copy);
  const running = () => app.ls().filter((one) => proc.status(one).pid !== null);
  const stop = (about: App, reason: string) => proc.stop(about, reason);
  const volume = keep(createVolumes({ machine, storage, fs, enclose, running, stop }));
  at("proc", volume);
  // The replica, which follows every database, in a process of its own.
  const about = { machine, storage, security, apps: app };
  const runs = (one: App) => proc.status(one).pid !== null;
  const look: EncloseCheck = (dir, bytes) => proc.encloseReader(dir, "backup-reader", bytes);
  const ofReplica = { limits: options.replicaLimits ?? {}, startAfresh, runs, enclose: look };
  const driver = keep(createDriver({ ...about, dataDir, program, ...ofReplica }));
  // The network last: nobody is let in before there is somebody to answer.
  const net = keep(createNet({ ...about, proc, resolve: options.resolve, beside }));

  // The machine's own interfaces; nothing waits for them.
  const iface = keep(createInterfaces({ machine, storage, host: options.network ?? null }));

  // What happens by itself: it asks apps, as the network does, and what is overdue begins now.
  const event = keep(createEvents({ machine, storage, apps: app, proc }));

  // How much of all this the machine can hold: it may take from any of them.
  const measured = options.measure ?? measure;
  const mode = keep(modesOf({ machine, storage, fs, proc, net }, measured));

  const power = createPower(dataDir, options.power ?? null);
  const system = systemOf({ machine, storage, security, apps: app, proc }, options.system ?? null);

  // The program itself: its slots, and its way to the next one; and the owner's way to both.
  const { upgrade, channel } = upgradesOf({ machine, storage, system }, options);
  keep(upgrade);
  keep(channel);
  const upgrades = { system, upgrade, channel };
  const parts = { fs, app, proc, power, ...upgrades, mode, net, iface, event, driver, volume };
  const kernel: Kernel = { machine, version, storage, security, ...parts };
  const dispatcher = createDispatcher(kernel, table);
  mountSysfs(kernel, dispatcher, bootedAtMs);
  return { kernel, dispatcher, bootedAtMs, ...endsOf(kernel, dispatcher) };
}

/** How a kernel ends, and how it gives way to another one. */
function endsOf(kernel: Kernel, dispatcher: Dispatcher) {
  const closing = createClosing(kernel.machine, endOf(kernel));
  const leave = () => kernel.net.leave().then(closing.close);
  const yieldWork = once(() => yieldAll(kernel, dispatcher));
  const alone = () => {
    kernel.security.share(false);
    kernel.event.wake();
    kernel.net.alone();
  };
  return { ...closing, leave, yieldWork, alone };
}

/** The program's own way to the next one; nobody replaces a kernel that was not told who could. */
function upgradesOf(
  { machine, storage, system }: Pick<Kernel, "machine" | "storage" | "system">,
  options: BootOptions,
): { readonly upgrade: Upgrade; readonly channel: Channel } {
  const { dataDir, version, slots } = options;
  const store = slots?.store ?? openSlots(dataDir, { version, sizeBytes: 0 });
  // On the appliance the keys of the root, which nobody can write to.
  const own = options.system;
  const keys = () => (own === undefined ? releaseKeys() : keysOf(own.releaseKeys()));
  const settings = () => channel.setting();
  const alone = { store, keys, settings, place: "base" as const, order: null };
  const about = { ...alone, machine, dataDir, version, ...slots };
  const upgrade = createUpgrade(about);
  const channel: Channel = createChannel({ ...about, storage, upgrade, system });
  return { upgrade, channel };
}

/** The operating system's upgrade looks at the kernel as it is. */
function systemOf(kernel: LookOptions, host: SystemHost | null): System {
  const nobody = { network: () => [], failedUnits: async () => [] };
  const looker = {
    look: (apps?: readonly string[]) => lookAt(kernel, host ?? nobody, apps),
    database: () => lookAtDatabase(kernel),
  };
  return createSystem({ machine: kernel.machine, host, looker });
}

type Bounded = Pick<Kernel, "machine" | "storage" | "fs" | "proc" | "net">;

function modesOf({ machine, storage, fs, proc, net }: Bounded, look: () => Measures): Modes {
  const actions: ModeActions = {
    dropCaches: (drop) => {
      fs.dropCaches(drop);
      if (drop) storage.dropCaches();
    },
    cockpitOnly: (only) => {
      net.cockpitOnly(only);
      proc.hold(only);
    },
  };
  return createModes({ machine, storage, measure: look, actions });
}

/** The longest a change under way is waited for, ms: with one that takes longer nobody takes over. */
const changeMsMax = 20_000;

/**
 * Waits until nobody changes anything. EBUSY: somebody still does, and everybody may again; what is
 * acknowledged after the next kernel has read would not be known to it.
 */
async function quiet({ machine }: Kernel, { changes }: Dispatcher): Promise<void> {
  const run = () => changes.freeze();
  if (await inTime(machine, { mostMs: changeMsMax, run })) return;
  const names = changes.underWay();
  changes.thaw();
  const forS = changeMsMax / 1000;
  const state = `${names.join(", ")} has been under way for more than ${forS} s`;
  throw new SysError("EBUSY", `cannot hand over to another kernel: ${state}`, {
    hint: "wait until that is done, and try again",
  });
}

async function yieldAll(kernel: Kernel, dispatcher: Dispatcher): Promise<void> {
  await quiet(kernel, dispatcher);
  kernel.security.share(true);
  kernel.mode.close();
  kernel.channel.close();
  kernel.iface.close();
  kernel.volume.close();
  kernel.event.close();
  await kernel.net.yieldWork();
  await kernel.driver.close();
  kernel.storage.yieldDirectory();
}

/** Runs it once, or again after it was refused. */
function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  return () => {
    running ??= run().catch((error: unknown) => {
      running = null;
      throw error;
    });
    return running;
  };
}

/**
 * The end, highest domain first. What each may take: requests under way 5 s, an app 30 s and 5 s to
 * go, the last shipment 10 s; the rest of a bound is what a busy machine adds. All of it and the
 * control socket stay below the 90 s of the contract.
 */
function endOf(kernel: Kernel): Phase[] {
  const { proc, app } = kernel;
  const awake = () => app.ls().filter((one) => proc.status(one).pid !== null);
  const modes = () => {
    kernel.mode.close();
    kernel.upgrade.close();
    kernel.channel.close();
  };
  const watches = () => {
    kernel.iface.close();
    kernel.volume.close();
    kernel.event.close();
  };
  return [
    { name: "modes", mostMs: 1_000, run: modes },
    { name: "requests under way", mostMs: 8_000, run: () => kernel.net.close() },
    { name: "watches", mostMs: 1_000, run: watches },
    {
      name: "apps",
      mostMs: 40_000,
      run: () => proc.close(),
      left: () => awake().map(({ name }) => name),
    },
    { name: "the database", mostMs: 15_000, run: () => kernel.storage.close() },
    // After the databases: the replicator has them open too, so that their logs stay for the next run.
    { name: "the replica's last shipment", mostMs: 20_000, run: () => kernel.driver.close() },
  ];
}
