/**
 * `fazt proc start`: boots the kernel in the foreground, opens its listeners and control socket,
 * says where it is, and waits for a signal. SIGTERM and SIGINT stop it in order; a second one at
 * once. Errors are told as the CLI tells them, and exit as the errno says.
 */
import { homedir } from "node:os";
import { type Booted, type BootOptions, boot } from "../kernel/boot.ts";
import { type Closing, createClosing } from "../kernel/closing.ts";
import { surroundings } from "../kernel/data-dir.ts";
import { SysError } from "../kernel/errno.ts";
import type { OsHandler } from "../kernel/net/mod.ts";
import { appliancePower } from "../kernel/proc/power/mod.ts";
import { applianceSystem } from "../kernel/proc/system/mod.ts";
import type { Order } from "../kernel/proc/upgrade/mod.ts";
import { createSys, openControlSocket } from "../kernel/syscall/mod.ts";
import { thisHost } from "./console/host.ts";
import { launcher } from "./launcher.ts";
import { type StartOptions, startOptions } from "./options.ts";
import { createOs } from "./os.ts";
import { leave, stopInTime, stopMsMax } from "./stop.ts";
import { becomeActive, isExecutable, ownPlace, slotStore } from "./upgrade/begin.ts";
import { Conductor } from "./upgrade/conductor.ts";
import { type Awake, warmUp } from "./upgrade/warm.ts";
import { version } from "./version.ts";

/** What is said when the kernel is ready (contract: one JSON line with `--json`). */
export interface Ready {
  readonly ready: true;
  readonly http: string;
  readonly https: string | null;
  readonly domain: string | null;
  readonly setupCode: string | null;
  readonly bootMs: number;
}

/** A running system: the kernel, its listeners and its control socket. */
export interface Running {
  readonly booted: Booted;
  readonly ready: Ready;
  /** Another kernel listens: drains and ends, as `stop` does. */
  leave(): Promise<void>;
  /** Ends it in order, in bounded time; ETIMEDOUT names what did not end. Idempotent. */
  readonly stop: Closing["close"];
  /** What an ending under way waits for. */
  readonly waitsFor: Closing["waitsFor"];
}

/** What a command has beside its options. */
export interface Surplus
  extends Pick<BootOptions, "network" | "reached" | "startAfresh" | "system" | "beside"> {
  /** Hears that this kernel is to be replaced; absent: nobody could do that. */
  readonly order?: (order: Order) => void;
  /** Apps to start before anybody is let in. */
  readonly awake?: readonly Awake[];
}

/** Everything `proc start` does before it waits. Used by tests as it is. */
export async function run(
  options: StartOptions,
  { order, awake = [], ...surplus }: Surplus = {},
): Promise<Running> {
  // Somebody else's machine is not ours to switch off, nor its system ours to upgrade.
  const system = surplus.system ?? (thisHost("/proc/cmdline").appliance ? applianceSystem() : null);
  const booted = await boot({
    ...surplus,
    slots: { store: slotStore(options.dataDir), place: ownPlace(), order: order ?? null },
    dataDir: options.dataDir,
    version,
    launcher: launcher(),
    insecureNoSandbox: options.insecureNoSandbox,
    ...(system !== null && { system, power: appliancePower(system.boot) }),
  });
  try {
    const { kernel } = booted;
    if (options.domain !== null && kernel.security.owner() !== null) {
      await kernel.security.setDomain(options.domain);
    }
    const sys = createSys(booted);
    const os = createOs(sys, options.domain);
    if (awake.length > 0) await warmUp(kernel, awake);
    const listening = kernel.net.listen(options.http, os);
    const https = await listenSecure(booted, options, os);
    surplus.reached?.("net");
    // Whoever asks here is served beside the apps' visitors too, and waits for no large body.
    const asked = () => kernel.proc.answers(kernel.machine.monotonicMs());
    const control = openControlSocket(options.dataDir, sys, asked);
    const closing = createClosing(kernel.machine, [
      { name: "the control socket", mostMs: 2_000, run: () => control.close() },
      { name: "the kernel", mostMs: stopMsMax, run: () => booted.close() },
    ]);
    const waitsFor = () => booted.waitsFor() ?? closing.waitsFor();
    const handOver = async () => {
      await booted.leave();
      await control.close();
    };
    const ready = readyOf(booted, listening.url, https);
    return { booted, ready, leave: handOver, stop: closing.close, waitsFor };
  } catch (error) {
    await booted.close();
    throw error;
  }
}

/**
 * Opens the HTTPS listener. Where nobody asked for this very address, one that another program has
 * leaves the machine without HTTPS, and the log says so.
 */
async function listenSecure(
  { kernel }: Booted,
  { https, httpsAsked }: StartOptions,
  os: OsHandler,
): Promise<string | null> {
  if (https === null) return null;
  try {
    return (await kernel.net.listenSecure(https, os)).url;
  } catch (error) {
    if (httpsAsked || !(error instanceof SysError && error.code === "EADDRINUSE")) throw error;
    const text = `no HTTPS: ${error.message}; choose another address with --https`;
    const about = { app: "kernel", appId: null, releaseId: null };
    kernel.storage.logs.append({ ...about, level: "warn", text });
    return null;
  }
}

function readyOf({ kernel, bootedAtMs }: Booted, http: string, https: string | null): Ready {
  return {
    ready: true,
    http,
    https,
    domain: kernel.security.owner()?.domain ?? null,
    setupCode: kernel.security.setupCode(),
    bootMs: Math.round(kernel.machine.monotonicMs() - bootedAtMs),
  };
}

/** The words for a person at the console. */
export function banner(ready: Ready, dataDir: string): string {
  const at = dataDir.replace(homedir(), "~");
  const lines = [`fazt ${version} is ready in ${ready.bootMs} ms, data in ${at}`, ""];
  if (ready.setupCode === null) {
    const port = new URL(ready.http).port;
    const suffix = port === "" ? "" : `:${port}`;
    lines.push(`  OS shell    http://os.${ready.domain}${suffix}/`);
  } else {
    lines.push(`  Open        ${ready.http}/`, `  Setup code  ${ready.setupCode}`);
  }
  if (ready.https === null) lines.push("  No HTTPS    fazt proc logs kernel says why");
  return `${lines.join("\n")}\n\n  Stop with Ctrl-C.\n`;
}

/** What the process exits with when it wants to be started again. */
export const startAgain = 75;

/** After five wrong tries the old code is dead; the console shows the new one. */
const newCode = (code: string): string => `\n  New setup code  ${code}  (too many wrong tries)\n`;

/** Resolves with the first SIGTERM or SIGINT; the second one exits at once. */
export function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let count = 0;
    const told = (signal: NodeJS.Signals) => {
      if (count++ > 0) process.exit(130);
      resolve(signal);
    };
    process.on("SIGTERM", told);
    process.on("SIGINT", told);
  });
}

/** Why a kernel ended: for good, with this code, or for the next one in its place. */
type End = { readonly code: number } | "afresh" | "replaced";

interface Life {
  readonly options: StartOptions;
  readonly conductor: Conductor;
  /** Resolves when this program is told to end. */
  readonly signal: Promise<unknown>;
}

function conductorOf({ dataDir, json }: StartOptions): Conductor {
  return new Conductor({
    store: slotStore(dataDir),
    appliance: false,
    say: (line) => void process.stdout.write(json ? "" : `${line}\n`),
    setupCode: (code) =>
      void process.stdout.write(json ? `${JSON.stringify({ setupCode: code })}\n` : newCode(code)),
  });
}

/** Who replaces a kernel of this program, where it can be replaced. */
export const ordersTo = (conductor: Conductor): Pick<Surplus, "order"> =>
  isExecutable() ? { order: (order) => conductor.order(order) } : {};

/** Runs one kernel until it has ended, or another one has taken over. */
async function runOnce({ options, conductor, signal }: Life): Promise<[End, Ready]> {
  const ending = Promise.withResolvers<End>();
  const startAfresh = () => ending.resolve("afresh");
  const running = await run(options, { startAfresh, ...ordersTo(conductor) });
  const { ready } = running;
  conductor.attach(running, options, ownPlace());
  void conductor.over.then(() => ending.resolve("replaced"));
  const { kernel } = running.booted;
  process.stdout.write(
    options.json ? `${JSON.stringify(ready)}\n` : banner(ready, options.dataDir),
  );
  kernel.security.onSetupCode((code) => {
    process.stdout.write(options.json ? `${JSON.stringify({ setupCode: code })}\n` : newCode(code));
  });
  kernel.mode.onEmergency(() => ending.resolve({ code: startAgain }));
  void signal.then(() => ending.resolve({ code: 0 }));
  const end = await ending.promise;
  if (end === "replaced") return [end, ready];
  const word = end === "afresh" ? "starting afresh" : "stopping";
  if (!options.json) process.stdout.write(`${word}\n`);
  const stopped = await stopInTime(running, (line) => process.stderr.write(`${line}\n`));
  if (end === "afresh") return [stopped ? end : { code: startAgain }, ready];
  return [{ code: stopped ? end.code : Math.max(end.code, 1) }, ready];
}

/** The address a listener was bound to, for the next kernel: port 0 would be another port. */
const boundTo = (url: string): string => {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;
};

/** The command. Answers the exit code. */
export async function start(args: readonly string[]): Promise<number> {
  let options = startOptions(args, surroundings());
  becomeActive(options.dataDir);
  const signal = signalled();
  for (;;) {
    const conductor = conductorOf(options);
    const [end, ready] = await runOnce({ options, conductor, signal });
    if (end === "replaced") return leave(await conductor.live(signal));
    if (end !== "afresh") return leave(end.code);
    const http = options.http.endsWith(":0") ? boundTo(ready.http) : options.http;
    const ownPort = options.https?.endsWith(":0") === true && ready.https !== null;
    options = { ...options, http, https: ownPort ? boundTo(ready.https ?? "") : options.https };
  }
}
