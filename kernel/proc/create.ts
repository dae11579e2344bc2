/**
 * Makes the proc domain: one supervisor an app that has server code, the sandbox they share, and
 * what follows from the life of apps (deploys, settings, removals).
 */
import { join } from "node:path";
import type { App, AppEvent, Apps, Release } from "../app/mod.ts";
import type { Enclosed } from "../enclosed.ts";
import { SysError } from "../errno.ts";
import type { Fs } from "../fs/mod.ts";
import { Histogram } from "../histogram.ts";
import type { Machine } from "../machine.ts";
import { createPages } from "../page.ts";
import type { LogLevel, Storage } from "../storage/mod.ts";
import type { Answer } from "./answer.ts";
import { AppFailure } from "./exchange.ts";
import {
  adjustableNames,
  defaultLimits,
  durationMs,
  type ProcLimits,
  sampleTicks,
  sizeBytes,
  volumeFileBytesMax,
} from "./limits.ts";
import { absentApp, brokenApp } from "./page.ts";
import type { AppUsage, Isolation, Proc, ProcEvent, ProcStatus, RequestMeta } from "./proc.ts";
import { AppProcess } from "./process.ts";
import { freeBytes, mountProcfs, usageOf } from "./procfs.ts";
import { createReleaseFiles, type ReleaseFiles } from "./release.ts";
import {
  findSandbox,
  type Launcher,
  type Sandbox,
  type VolumeCommand,
  WaitWatch,
} from "./sandbox/mod.ts";
import { initial, shouldRetire } from "./state.ts";
import { NotRunning, Supervisor } from "./supervisor.ts";
import { Turns } from "./turns.ts";

export interface ProcOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly apps: Apps;
  readonly fs: Fs;
  readonly dataDir: string;
  readonly launcher: Launcher;
  /** Runs apps without a sandbox where none works. */
  readonly insecureNoSandbox?: boolean;
  /** Makes the calls of apps: the dispatcher, known only to boot. */
  readonly answer: Answer;
  /**
   * Brings the app's data to what a release needs, before it is started to be proved; has it
   * attempted on a copy of the data before.
   */
  readonly prepare?: (app: App, release: Release, attempt: Attempt) => Promise<unknown>;
  /** Limits other than the defaults. */
  readonly limits?: Partial<ProcLimits>;
  /** Processes of kernels that hand over to this one: what is theirs is left alone. */
  readonly beside?: readonly number[];
}

/** Runs the release on the volume in this directory until it is ready, and ends it. ENOEXEC. */
type Attempt = (volumeDir: string) => Promise<void>;

const heldReason = "memory is short, and the machine answers only its owner";

export function createProc(options: ProcOptions): Proc {
  const proc = new Processes(options);
  mountProcfs(options.fs, { apps: options.apps, storage: options.storage, proc });
  return proc;
}

/** What is measured of an app, over all its processes. */
interface Measure {
  readonly latency: Histogram;
  pid: number | null;
  cpuMs: number;
  /** Of processes that have ended. */
  endedCpuMs: number;
}

class Processes implements Proc {
  readonly #options: ProcOptions;
  readonly #limits: ProcLimits;
  readonly #files: ReleaseFiles;
  readonly #supervisors = new Map<string, Supervisor>();
  readonly #watchers = new Set<(event: ProcEvent) => void>();
  readonly #measures = new Map<string, Measure>();
  readonly #turns: Turns;
  readonly #pages = createPages();
  readonly #waits: WaitWatch;
  #ticks = 0;
  #held = false;
  readonly #unwatch: () => void;
  readonly #ticking: { cancel(): void };
  #sandbox: Sandbox | null = null;

  constructor(options: ProcOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#turns = new Turns(options.machine);
    this.#waits = new WaitWatch(options.machine, () => {
      for (const supervisor of this.#supervisors.values()) supervisor.look();
    });
    options.storage.adjust({ domain: "proc", limits: this.#limits, names: adjustableNames });
    const filesDir = join(options.dataDir, "run", "releases");
    this.#files = createReleaseFiles(options.fs, filesDir, options.beside);
    this.#unwatch = options.apps.watch((event) => this.#follow(event));
    this.#ticking = options.machine.every(this.#limits.tickMs, () => this.#tick());
  }

  /** Found out when it is first needed, because asking costs a process. */
  #enclosure(): Sandbox {
    const { launcher, insecureNoSandbox: insecure = false, dataDir, machine } = this.#options;
    if (this.#sandbox !== null) return this.#sandbox;
    const { beside = [] } = this.#options;
    const runDir = join(dataDir, "run");
    const found = findSandbox(launcher, { insecure, machine, runDir, beside });
    this.#sandbox = found;
    if (found.lacks.length > 0) {
      const line = { app: "kernel", appId: null, releaseId: null, level: "warn" } as const;
      this.#options.storage.logs.append({ ...line, text: found.detail });
    }
    return found;
  }

  sandbox(): Isolation {
    return this.#enclosure();
  }

  knownSandbox(): Isolation | null {
    return this.#sandbox;
  }

  encloseVolume(appId: string, copy?: string): VolumeCommand {
    const { storage } = this.#options;
    const fileBytes = volumeFileBytesMax(storage.volumeBytesMax);
    const volumeDir = copy ?? storage.volumeDir(appId);
    return this.#enclosure().encloseVolume({ appId, volumeDir, fileBytes });
  }

  encloseReader(dir: string, life: string, fileBytes: number | null = null): Enclosed {
    return this.#enclosure().encloseReader({ dir, life, fileBytes });
  }

  #release(app: App): Release | null {
    if (app.releaseId === null) return null;
    const release = this.#options.apps.release(app.releaseId);
    return release.manifest.server === null ? null : release;
  }

  #supervisor(app: App): Supervisor {
    const known = this.#supervisors.get(app.id);
    if (known !== undefined) return known;
    const { apps, machine } = this.#options;
    const current = () => apps.find(app.id) ?? app;
    const made = new Supervisor(
      {
        machine,
        limits: this.#limits,
        wanted: () => {
          const now = current();
          const release = this.#release(now);
          return release === null ? null : { app: now, release };
        },
        spawn: (release) => this.#spawn(current(), release),
        changed: (state, reason) => {
          for (const told of this.#watchers) told({ app: current(), state, reason });
          // What was changed while it started reached a process that had its settings already.
          if (state === "running") this.#refresh(current(), made);
        },
        note: (level, text) => this.#log(current(), level, text),
      },
      app.stopped,
    );
    this.#supervisors.set(app.id, made);
    return made;
  }

  #spawn(app: App, release: Release, volumeDir?: string): Promise<AppProcess> {
    const spawned = this.#spawned(app, release, volumeDir);
    this.#files.hold(
      release.id,
      spawned.then(({ ready }) => ready),
    );
    return spawned;
  }

  async #spawned(app: App, release: Release, volumeDir?: string): Promise<AppProcess> {
    const { apps, machine, storage, answer } = this.#options;
    const { server } = release.manifest;
    if (server === null) throw new SysError("ENOEXEC", `cannot run "${app.name}": no server code`);
    const releaseDir = await this.#files.materialise(release);
    const { memory, cpu } = release.manifest;
    const command = this.#enclosure().enclose({
      appId: app.id,
      releaseDir,
      entry: server,
      volumeDir: volumeDir ?? storage.volumeDir(app.id),
      memoryBytes: sizeBytes(memory),
      weight: cpu,
      fileBytes: volumeFileBytesMax(storage.volumeBytesMax),
    });
    const program = { app, release, command, env: apps.env.resolve(release) };
    this.#waits.turn(true);
    return new AppProcess(program, {
      machine,
      quotaBytes: storage.volumeBytesMax,
      limits: this.#limits,
      turns: this.#turns,
      answer,
      latency: this.#measure(app.id).latency,
      log: (line) => {
        const { name, id } = apps.find(app.id) ?? line.app;
        const { level, text } = line;
        storage.logs.append({ app: name, appId: id, releaseId: line.release.id, level, text });
      },
    });
  }

  ls(): ProcStatus[] {
    return this.#options.apps.ls().map((app) => this.status(app));
  }

  status(app: App): ProcStatus {
    const { name, id } = app;
    const supervisor = this.#supervisors.get(id);
    const process = supervisor?.current ?? null;
    const served = this.#release(app) !== null;
    // An app nobody has asked for yet is as it will begin.
    const condition = supervisor?.condition ?? initial(served && app.stopped);
    const { rssBytes, cpuMs } = usageOf(process?.pid ?? null);
    // Its socket is gone and its end is not told yet: it serves nobody any more.
    const state = condition.state === "running" && process?.lost ? "draining" : condition.state;
    return {
      name,
      id,
      state: served ? state : "static",
      pid: process?.pid ?? null,
      release: process?.program.release.id ?? app.releaseId,
      restarts: supervisor?.restarts ?? 0,
      rssBytes,
      cpuMs,
      requests: supervisor?.requests ?? 0,
      uptimeMs: process === null ? 0 : this.#options.machine.now() - process.startedAt,
      reason: this.#held && served ? heldReason : condition.reason,
    };
  }

  #measure(appId: string): Measure {
    const known = this.#measures.get(appId);
    if (known !== undefined) return known;
    const made = { latency: new Histogram(), pid: null, cpuMs: 0, endedCpuMs: 0 };
    this.#measures.set(appId, made);
    return made;
  }

  usage(): AppUsage[] {
    const rows = this.#options.apps.ls().map((app) => ({ app, status: this.status(app) }));
    return rows
      .filter(({ status }) => status.state !== "static")
      .map(({ app, status }) => {
        const { latency, cpuMs, endedCpuMs } = this.#look(app.id, status.pid);
        const { ownBytes } = usageOf(status.pid);
        const totalCpuMs = cpuMs + endedCpuMs;
        return { status, ownBytes, totalCpuMs, latency: latency.distribution() };
      });
  }

  tail(app: App): readonly string[] {
    return this.#supervisors.get(app.id)?.tail ?? [];
  }

  /** Brings what is known of an app's processor time up to date. */
  #look(appId: string, pid: number | null): Measure {
    const measure = this.#measure(appId);
    if (pid !== measure.pid) {
      measure.endedCpuMs += measure.cpuMs;
      measure.cpuMs = 0;
      measure.pid = pid;
    }
    // A process that has just gone says 0: what it had used was more.
    measure.cpuMs = Math.max(measure.cpuMs, usageOf(pid).cpuMs);
    return measure;
  }

  /** Notes what an app's process uses; one near its limit hands over to a fresh one. */
  #sample(appId: string, supervisor: Supervisor): void {
    const process = supervisor.current;
    this.#look(appId, process?.pid ?? null);
    if (process === null || supervisor.condition.state !== "running") return;
    const { memory } = process.program.release.manifest;
    const { ownBytes: usedBytes } = usageOf(process.pid);
    const limitBytes = sizeBytes(memory);
    const ageMs = this.#options.machine.now() - process.startedAt;
    // Asked first without the host's figure, which is another file to read.
    if (!shouldRetire({ usedBytes, limitBytes, freeBytes: limitBytes, ageMs })) return;
    if (!shouldRetire({ usedBytes, limitBytes, freeBytes: freeBytes(), ageMs })) return;
    const app = this.#options.apps.find(appId);
    if (app === null || supervisor.replacing) return;
    const share = Math.round((usedBytes / limitBytes) * 100);
    this.#log(app, "warn", `uses ${share} % of ${memory}: a fresh process takes over`);
    this.#replace(app, supervisor);
  }

  fetch(app: App, request: Request, meta: RequestMeta): Promise<Response> {
    return this.ask(app, request, meta).catch((error: unknown) =>
      this.#trouble(app, request, error),
    );
  }

  ask(app: App, request: Request, meta: RequestMeta): Promise<Response> {
    if (this.#held) return Promise.reject(new NotRunning("down", heldReason, null));
    return this.#supervisor(app).serve((process) => process.fetch(request, meta));
  }

  answers(nowMs: number): void {
    this.#turns.asked(this, nowMs);
  }

  underWay(app: App): number {
    return this.#supervisors.get(app.id)?.underWay ?? 0;
  }

  watch(told: (event: ProcEvent) => void): () => void {
    this.#watchers.add(told);
    return () => void this.#watchers.delete(told);
  }

  #trouble(app: App, request: Request, error: unknown): Response {
    if (error instanceof NotRunning && error.kind !== "broken") {
      const startsInMs = error.kind === "busy" ? (error.retryAfterMs ?? 0) : null;
      return this.#pages(request, absentApp(startsInMs), "");
    }
    const status = error instanceof AppFailure ? error.status : 502;
    const incident = this.#options.machine.id("inc");
    const reason = error instanceof Error ? error.message : String(error);
    const { pathname } = new URL(request.url);
    this.#log(app, "error", `incident ${incident}: ${request.method} ${pathname}: ${reason}`);
    return this.#pages(request, brokenApp(status, incident), incident);
  }

  hold(held: boolean): void {
    this.#held = held;
    if (held) this.#rest();
  }

  /** Ends every process that runs, once it has finished what it does. */
  #rest(): void {
    for (const supervisor of this.#supervisors.values()) supervisor.tell({ kind: "idle" });
  }

  #mustNotBeHeld(verb: string): void {
    if (!this.#held) return;
    throw new SysError("EAGAIN", `cannot ${verb}: ${heldReason}`, {
      hint: "end what takes the memory, and wait until fazt proc status works as usual",
      retryAfterMs: 10_000,
    });
  }

  async prove(app: App, release: Release): Promise<void> {
    this.#mustNotBeHeld("run the release");
    const supervisor = this.#supervisor(app);
    const attempt: Attempt = (volumeDir) =>
      supervisor.attempt(release, () => this.#spawn(app, release, volumeDir));
    await this.#options.prepare?.(app, release, attempt);
    await supervisor.prove(release);
  }

  async startApp(app: App): Promise<ProcStatus> {
    this.#mustServe(app, "start");
    this.#mustNotBeHeld("start it");
    const started = await this.#remember(app, false);
    const supervisor = this.#supervisor(started);
    supervisor.tell({ kind: "start" });
    await supervisor.settled("running", "backoff", "crashed", "stopped");
    return this.status(started);
  }

  /** Whether it stays down over reboots; nothing is written when that is as it was. */
  #remember(app: App, stopped: boolean): Promise<App> | App {
    return app.stopped === stopped ? app : this.#options.apps.setStopped(app.id, stopped);
  }

  async stop(app: App, reason = "stopped by the owner"): Promise<ProcStatus> {
    this.#mustServe(app, "stop");
    // Before it is remembered: one that is made after begins as stopped some other time.
    const supervisor = this.#supervisor(app);
    const stopped = await this.#remember(app, true);
    supervisor.tell({ kind: "stop", reason });
    await supervisor.settled("stopped");
    return this.status(stopped);
  }

  async restart(app: App): Promise<ProcStatus> {
    this.#mustServe(app, "restart");
    const supervisor = this.#supervisor(app);
    if (supervisor.condition.state !== "running") return this.startApp(app);
    await supervisor.replace();
    return this.status(app);
  }

  async kill(app: App): Promise<ProcStatus> {
    const supervisor = this.#supervisors.get(app.id);
    if (supervisor?.current == null) {
      throw new SysError("ESRCH", `cannot kill "${app.name}": it has no process`, {
        hint: "fazt proc ls shows what runs",
      });
    }
    supervisor.tell({ kind: "kill" });
    await supervisor.settled("sleeping", "stopped", "running", "backoff", "crashed");
    return this.status(app);
  }

  #mustServe(app: App, verb: string): void {
    if (this.#release(app) !== null) return;
    throw new SysError("ENOEXEC", `cannot ${verb} "${app.name}": it has no server code`, {
      hint: `its files are served without a process; fazt net rest set ${app.name} shows a page instead`,
    });
  }

  /** A removal is answered when the process has ended: a purge waits for that. */
  async #follow(event: AppEvent): Promise<void> {
    const supervisor = this.#supervisors.get(event.app.id);
    if (supervisor === undefined) return;
    if (event.kind === "removed") {
      this.#supervisors.delete(event.app.id);
      this.#measures.delete(event.app.id);
      await supervisor.close();
    } else if (event.kind === "switched") {
      if (!supervisor.adopt(event.release.id)) this.#refresh(event.app, supervisor);
    } else if (event.kind === "abandoned") supervisor.abandon(event.release.id);
    else this.#refresh(event.app, supervisor);
    void this.#sweep();
  }

  /** Replaces a process that runs another release, or with other settings, than it should. */
  #refresh(app: App, supervisor: Supervisor): void {
    const process = supervisor.current;
    if (process === null) return;
    const release = this.#release(app);
    if (release === null) {
      supervisor.tell({ kind: "kill" });
      return;
    }
    const env = this.#options.apps.env.resolve(release);
    const { program } = process;
    const same =
      program.release.id === release.id &&
      // Its events carry its name, which it was told at its start.
      program.app.name === app.name &&
      Bun.deepEquals(program.env, env);
    if (same || supervisor.condition.state !== "running") return;
    this.#replace(app, supervisor);
  }

  #replace(app: App, supervisor: Supervisor): void {
    supervisor.replace().catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      this.#log(app, "error", `keeps the old process: ${reason}`);
    });
  }

  #log({ name, id, releaseId }: App, level: LogLevel, text: string): void {
    const line = { app: name, appId: id, releaseId, level, text: `[kernel] ${text}` };
    this.#options.storage.logs.append(line);
  }

  /** Removes the files of releases nobody runs or may start. */
  async #sweep(): Promise<void> {
    const current = this.#options.apps.ls().map(({ releaseId }) => releaseId ?? "");
    const run = [...this.#supervisors.values()].flatMap((one) => one.releases());
    await this.#files.keep(new Set([...current, ...run]));
  }

  #tick(): void {
    const samples = this.#ticks++ % sampleTicks === 0;
    if (this.#held) this.#rest();
    let runs = false;
    for (const [appId, supervisor] of this.#supervisors) {
      if (samples) this.#sample(appId, supervisor);
      const idle = supervisor.current?.program.release.manifest.idle ?? "never";
      supervisor.tick(idle === "never" ? null : durationMs(idle));
      runs ||= supervisor.releases().length > 0;
      if (this.#options.apps.find(appId) !== null) continue;
      this.#supervisors.delete(appId);
      this.#measures.delete(appId);
    }
    this.#waits.turn(runs);
  }

  async close(): Promise<void> {
    this.#unwatch();
    this.#waits.turn(false);
    await Promise.all([...this.#supervisors.values()].map((supervisor) => supervisor.close()));
    this.#ticking.cancel();
    await this.#sandbox?.close();
  }
}
