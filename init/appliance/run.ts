/**
 * `fazt init`: the kernel as the one service of the appliance.
 *
 * Boots in targets, each with a line on every console; tells systemd when it is ready, what it is
 * doing and that it lives; stops in order and in bounded time, saying what it waits for. A boot
 * that fails leaves the machine up, with the reason where the console finds it: nothing starts it
 * again by itself but a person, or a crash of this very program.
 */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Booted } from "../../kernel/boot.ts";
import { surroundings } from "../../kernel/data-dir.ts";
import { SysError } from "../../kernel/errno.ts";
import { realMachine } from "../../kernel/machine.ts";
import { applianceNetwork } from "../../kernel/net/iface/mod.ts";
import { startOptions } from "../options.ts";
import type { RestoreOrder } from "../seed/restore.ts";
import { seed } from "../seed/seed.ts";
import { ordersTo, type Running, run, signalled, startAgain } from "../start.ts";
import { leave, stopInTime } from "../stop.ts";
import { tellTrouble } from "../trouble.ts";
import { becomeActive, ownPlace, slotStore } from "../upgrade/begin.ts";
import { Conductor } from "../upgrade/conductor.ts";
import { version } from "../version.ts";
import { beat, type Pulse } from "./beat.ts";
import { listenToButton } from "./button.ts";
import { awaitGround } from "./ground.ts";
import { type Notify, openNotify } from "./notify.ts";
import { beginLine, current, reachedLine, type Target, troubleLines, troubleOf } from "./target.ts";
import { trialOf } from "./trial.ts";

/** Puts a line on every console that the kernel writes to, and on standard output, the journal. */
function say(line: string): void {
  process.stdout.write(`${line}\n`);
  if (process.env["NOTIFY_SOCKET"] === undefined) return;
  for (const name of consoles()) {
    try {
      writeFileSync(`/dev/${name}`, `${line}\r\n`);
    } catch {
      // A console without hardware behind it.
    }
  }
}

function consoles(): string[] {
  try {
    return readFileSync("/sys/class/tty/console/active", "utf8").trim().split(" ");
  } catch {
    return [];
  }
}

/**
 * Refuses a data directory that is not on a partition of its own: what is written there would be
 * gone with the power. EIO.
 */
function refuseMemory(dataDir: string): void {
  const device = (path: string) => statSync(path, { throwIfNoEntry: false })?.dev;
  const own = device(dataDir);
  if (own !== undefined && own !== device(dirname(dataDir))) return;
  throw new SysError("EIO", `cannot open "${dataDir}": the data partition is not there`, {
    hint: 'is the disk larger than 2 GB and in order? Then choose "retry", or start again',
  });
}

/** Ends a running system; what did not end is left as a power cut would leave it. */
async function stop(running: Running): Promise<number> {
  const startedMs = performance.now();
  const stopped = await stopInTime(running, say);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  say(stopped ? `[ stop ] stopped in ${seconds} s` : `[failed] not stopped after ${seconds} s`);
  return stopped ? 0 : 1;
}

/** What a life of the appliance's kernel needs. */
interface Life {
  readonly args: readonly string[];
  readonly notify: Notify;
  readonly pulse: Pulse;
  /** Resolves when this program is told to end. */
  readonly signal: Promise<unknown>;
}

/** What one life ends with: an exit code, or an old machine that is to take its place. */
type End = number | RestoreOrder;

/**
 * First boot, beside the running kernel: a cloud's metadata may take a while, and the wizard is
 * there meanwhile. Resolves only when the kernel is to stop for a restore.
 */
function firstBoot({ booted }: Running, dataDir: string): Promise<RestoreOrder> {
  const { promise, resolve } = Promise.withResolvers<RestoreOrder>();
  void seed({ booted, dataDir, tell: say }).then((outcome) => {
    if (outcome.kind === "restore") resolve(outcome.order);
  });
  return promise;
}

/** Lives until it is told to end; a restore ends one life and begins the next. */
async function live(life: Life): Promise<number> {
  let settle: ((booted: Booted) => Promise<void>) | null = null;
  for (;;) {
    const end: End = await liveOnce(life, settle);
    if (typeof end === "number") return end;
    settle = await restored(end);
  }
}

/** Restores while no kernel runs. What fails leaves everything as it was; the next boot tries again. */
async function restored(order: RestoreOrder): Promise<(booted: Booted) => Promise<void>> {
  try {
    await order.restore();
    return (booted) => order.settle(booted);
  } catch (error) {
    const why = error instanceof SysError ? error.message : "internal error";
    say(`[failed] not restored: ${why}`);
    return async () => undefined;
  }
}

/** One life; `settle`, when given, is done in place of first boot. */
async function liveOnce(
  { args, notify, pulse, signal }: Life,
  settle: ((booted: Booted) => Promise<void>) | null,
): Promise<End> {
  const machine = realMachine();
  const startedMs = machine.monotonicMs();
  const options = startOptions(["--http", ":80", "--https", ":443", ...args], surroundings());
  const done: Target[] = [];
  const reached = (target: Target) => {
    done.push(target);
    say(reachedLine(target, machine.monotonicMs() - startedMs));
    trial.reached(target);
    notify.tell({ STATUS: `boot: ${current(done) ?? "done"}` });
  };
  const { dataDir } = options;
  const conductor = new Conductor({
    store: slotStore(dataDir),
    appliance: true,
    say,
    setupCode: () => {},
  });
  pulse.alive = () => conductor.alive();
  let running: Running;
  const trial = await trialOf(machine, say);
  try {
    if (!args.some((arg) => arg.startsWith("--data"))) refuseMemory(options.dataDir);
    tellTrouble(null);
    becomeActive(options.dataDir);
    running = await run(options, {
      ...trial.surplus,
      ...ordersTo(conductor),
      network: applianceNetwork({ machine }),
      reached,
    });
  } catch (error) {
    const trouble = troubleOf(error, current(done) ?? "console", machine.now());
    for (const line of troubleLines(trouble)) say(line);
    tellTrouble(trouble);
    notify.tell({ READY: "1", STATUS: `recovery: ${trouble.message}` });
    await trial.failed(trouble);
    await signal;
    return 0;
  }
  reached("console");
  conductor.attach(running, options, ownPlace());
  notify.tell({ READY: "1", STATUS: "running" });
  const emergency = Promise.withResolvers<number>();
  running.booted.kernel.mode.onEmergency(() => emergency.resolve(startAgain));
  trial.judge(running.booted);
  await settle?.(running.booted);
  const replaced = conductor.over.then(() => "replaced" as const);
  const ends: Promise<End | "replaced">[] = [signal.then(() => 0), emergency.promise, replaced];
  if (settle === null) ends.push(firstBoot(running, options.dataDir));
  const end = await Promise.race(ends);
  if (end === "replaced") {
    void signal.then(() => notify.tell({ STOPPING: "1", STATUS: "stopping" }));
    return await conductor.live(signal);
  }
  if (typeof end === "number") notify.tell({ STOPPING: "1", STATUS: "stopping" });
  const code = await stop(running);
  return typeof end === "number" ? Math.max(end, code) : end;
}

/** The command. Answers the exit code. */
export async function runAppliance(args: readonly string[]): Promise<number> {
  const notify = openNotify(process.env["NOTIFY_SOCKET"]);
  const pulse: Pulse = { alive: async () => true };
  const wantedUs = Number(process.env["WATCHDOG_USEC"] ?? 0);
  const ends = [
    beat(() => notify.tell({ WATCHDOG: "1" }), pulse, wantedUs),
    listenToButton(() => void Bun.spawn(["systemctl", "--no-block", "poweroff"])),
  ];
  const signal = signalled();
  try {
    notify.tell({ STATUS: "boot: waiting for the disks" });
    say(beginLine(version));
    const told = await Promise.race([awaitGround(), signal]);
    return leave(told === undefined ? await live({ args, notify, pulse, signal }) : 0);
  } finally {
    for (const end of ends) end();
  }
}
