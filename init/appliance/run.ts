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
import { surroundings } from "../../kernel/data-dir.ts";
import { SysError } from "../../kernel/errno.ts";
import { realMachine } from "../../kernel/machine.ts";
import { applianceNetwork } from "../../kernel/net/iface/mod.ts";
import { startOptions } from "../options.ts";
import { type Running, run, signalled, startAgain } from "../start.ts";
import { tellTrouble } from "../trouble.ts";
import { listenToButton } from "./button.ts";
import { type Notify, openNotify } from "./notify.ts";
import {
  current,
  reachedLine,
  stopMsMax,
  type Target,
  troubleLines,
  troubleOf,
  waitingLine,
} from "./target.ts";

/** How often what is being waited for is said, ms. */
const sayEveryMs = 5_000;

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

/** Tells systemd that this program lives, as often as it wants to hear it, until it is stopped. */
function beat(tell: () => void): () => void {
  const wantedUs = Number(process.env["WATCHDOG_USEC"] ?? 0);
  // The timer also keeps a machine in recovery, which has nothing else to do, from ending.
  const timer = setInterval(tell, wantedUs > 0 ? wantedUs / 3000 : 60_000);
  return () => clearInterval(timer);
}

/** Ends a running system; after `stopMsMax` it is left as a power cut would leave it. */
async function stop(running: Running): Promise<number> {
  const { kernel } = running.booted;
  const startedMs = performance.now();
  const told = setInterval(() => {
    const apps = kernel.app.ls().filter((app) => kernel.proc.status(app).pid !== null);
    const line = waitingLine(
      apps.map(({ name }) => name),
      performance.now() - startedMs,
    );
    if (line !== null) say(line);
  }, sayEveryMs);
  const late = Promise.withResolvers<number>();
  const timer = setTimeout(() => late.resolve(1), stopMsMax);
  const code = await Promise.race([running.stop().then(() => 0), late.promise]);
  clearInterval(told);
  clearTimeout(timer);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  say(code === 0 ? `[ stop ] stopped in ${seconds} s` : `[failed] not stopped after ${seconds} s`);
  return code;
}

/** What a life of the appliance's kernel needs. */
interface Life {
  readonly args: readonly string[];
  readonly notify: Notify;
  /** Resolves when this program is told to end. */
  readonly signal: Promise<unknown>;
}

async function live({ args, notify, signal }: Life): Promise<number> {
  const machine = realMachine();
  const startedMs = machine.monotonicMs();
  const options = startOptions(["--http", ":80", "--https", ":443", ...args], surroundings());
  const done: Target[] = [];
  const reached = (target: Target) => {
    done.push(target);
    say(reachedLine(target, machine.monotonicMs() - startedMs));
    notify.tell({ STATUS: `boot: ${current(done) ?? "done"}` });
  };
  let running: Running;
  try {
    if (!args.some((arg) => arg.startsWith("--data"))) refuseMemory(options.dataDir);
    tellTrouble(null);
    running = await run(options, { network: applianceNetwork({ machine }), reached });
  } catch (error) {
    const trouble = troubleOf(error, current(done) ?? "console", machine.now());
    for (const line of troubleLines(trouble)) say(line);
    tellTrouble(trouble);
    notify.tell({ READY: "1", STATUS: `recovery: ${trouble.message}` });
    await signal;
    return 0;
  }
  reached("console");
  notify.tell({ READY: "1", STATUS: "running" });
  const emergency = Promise.withResolvers<number>();
  running.booted.kernel.mode.onEmergency(() => emergency.resolve(startAgain));
  const code = await Promise.race([signal.then(() => 0), emergency.promise]);
  notify.tell({ STOPPING: "1", STATUS: "stopping" });
  return Math.max(code, await stop(running));
}

/** The command. Answers the exit code. */
export async function runAppliance(args: readonly string[]): Promise<number> {
  const notify = openNotify(process.env["NOTIFY_SOCKET"]);
  const ends = [
    beat(() => notify.tell({ WATCHDOG: "1" })),
    listenToButton(() => void Bun.spawn(["systemctl", "--no-block", "poweroff"])),
  ];
  try {
    return await live({ args, notify, signal: signalled() });
  } finally {
    for (const end of ends) end();
  }
}
