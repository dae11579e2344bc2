/**
 * The life of a kernel that another process of ours started (`upgrade-child`): it boots when it is
 * told to, answers, hands over when it is told to, and ends with the one that started it.
 */
import { SysError } from "../../kernel/errno.ts";
import { realMachine } from "../../kernel/machine.ts";
import { applianceNetwork } from "../../kernel/net/iface/mod.ts";
import { type Running, run, startAgain } from "../start.ts";
import { version } from "../version.ts";
import { objects, type Said, type Told } from "./protocol.ts";
import { seenBy } from "./seen.ts";

const say = (said: Said): void => void process.stdout.write(`${JSON.stringify(said)}\n`);

/** Boots as it was told to. A replica that is adopted boots another one in its place. */
async function boot(how: Extract<Told, { kind: "lead" }>, end: (code: number) => void) {
  const { options, beside, appliance, awake = [] } = how;
  let running: Running | null = null;
  const surplus = {
    ...(appliance && { network: applianceNetwork({ machine: realMachine() }) }),
    order: (order: Extract<Said, { kind: "order" }>["order"]) => say({ kind: "order", order }),
    startAfresh: () => end(startAgain),
  };
  running = await run(options, { ...surplus, beside, awake });
  const { kernel } = running.booted;
  kernel.security.onSetupCode((code) => say({ kind: "setupCode", code }));
  kernel.mode.onEmergency(() => end(startAgain));
  return running;
}

/** Lets go of its work, unless something is under way that must not be cut. */
async function yielded({ booted }: Running): Promise<Said> {
  try {
    await booted.yieldWork();
    return { kind: "yielded" };
  } catch (error) {
    if (!(error instanceof SysError && error.code === "EBUSY")) throw error;
    return { kind: "busy", message: error.message };
  }
}

/** Lives. Answers the exit code. */
export async function runSuccessor(): Promise<number> {
  // A terminal's Ctrl-C goes to whoever started this one, which ends it in order.
  process.on("SIGINT", () => undefined);
  process.on("SIGHUP", () => undefined);
  const ending = Promise.withResolvers<{ code: number; left: boolean }>();
  const end = (code: number) => ending.resolve({ code, left: false });
  process.on("SIGTERM", () => end(0));
  let running: Running | null = null;
  let leaving = false;
  say({ kind: "awake", version });
  const obey = async (told: Told): Promise<void> => {
    if (told.kind === "lead") {
      running = await boot(told, end);
      say({ kind: "ready", ready: running.ready });
    } else if (running === null || told.kind === "end") end(0);
    else if (told.kind === "look")
      say({ kind: "seen", id: told.id, seen: seenBy(running.booted.kernel) });
    else if (told.kind === "yield") say(await yielded(running));
    else if (told.kind === "leave") {
      leaving = true;
      await running.leave();
      ending.resolve({ code: 0, left: true });
    } else if (told.kind === "alone") running.booted.alone();
  };
  void (async () => {
    for await (const told of objects<Told>(Bun.stdin.stream())) {
      void obey(told).catch((error: unknown) => {
        const message = error instanceof SysError ? error.message : String(error);
        say({ kind: "failed", message });
        end(1);
      });
    }
    // Whoever conducts is gone, and what is started in its place must not find the port taken by one
    // that lets nobody new in: what it has left to do is not worth that.
    if (leaving) process.kill(process.pid, "SIGKILL");
    end(0);
  })();
  const { code, left } = await ending.promise;
  if (!left) await (running as Running | null)?.stop();
  return code;
}
