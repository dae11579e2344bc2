/**
 * Starts the apps that were awake under the kernel before, so that its visitors find them awake
 * under this one too. Done before this kernel listens: until then the other one answers.
 *
 * Rules: it is a kindness and no duty, so that nothing that fails here fails a boot; both kernels'
 * processes are there at once, so that no more are started than memory is free for.
 */
import { freemem } from "node:os";
import type { Kernel } from "../../kernel/kernel.ts";

/** An app with a process. */
export interface Awake {
  readonly name: string;
  readonly rssBytes: number;
}

/** Apps that are started beforehand, at most: the rest starts with its first visitor. */
const awakeMax = 32;
/** Started at once: as many as a small machine has cores. */
const atOnce = 2;
/** Milliseconds it may take in all. */
const warmMsMax = 3_000;
/** The share of what is free that their processes may need. */
const freeShare = 0.5;

/** The apps with a process, those first that are asked most. */
export function awakeIn({ proc }: Pick<Kernel, "proc">): Awake[] {
  const running = proc.ls().filter(({ state, pid }) => state === "running" && pid !== null);
  return running
    .toSorted((a, b) => b.requests - a.requests)
    .slice(0, awakeMax)
    .map(({ name, rssBytes }) => ({ name, rssBytes }));
}

/** As many of them as there is room for, in their order. Pure. */
export function fitting(awake: readonly Awake[], freeBytes: number): Awake[] {
  let room = freeBytes * freeShare;
  return awake.filter(({ rssBytes }) => {
    room -= rssBytes;
    return room >= 0;
  });
}

/** Starts them; resolves when they run, or when it has taken long enough. */
export async function warmUp(kernel: Kernel, awake: readonly Awake[]): Promise<void> {
  const waiting = fitting(awake, freemem());
  const byName = new Map(kernel.app.ls().map((app) => [app.name, app]));
  const next = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      const app = byName.get(one.name);
      if (app === undefined || app.stopped) continue;
      // Whatever ails it, its visitors and the gate find out.
      await kernel.proc.startApp(app).catch(() => undefined);
    }
  };
  const all = Promise.all(Array.from({ length: atOnce }, next));
  const late = Promise.withResolvers<void>();
  const timer = kernel.machine.after(warmMsMax, () => {
    waiting.length = 0;
    late.resolve();
  });
  await Promise.race([all, late.promise]);
  timer.cancel();
}
