/**
 * How the machine is, as far as an upgrade compares it: apps that answer, the network, units, and
 * the database.
 */
import type { App, Apps } from "../../app/mod.ts";
import { localOwner } from "../../caller.ts";
import type { Machine } from "../../machine.ts";
import type { Security } from "../../security/mod.ts";
import type { Storage } from "../../storage/mod.ts";
import type { Proc } from "../mod.ts";
import type { Look } from "./attempt.ts";
import type { SystemHost } from "./host.ts";
import { appAnswerMsMax, askedAppsMax } from "./limits.ts";

export interface LookOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly security: Security;
  readonly apps: Apps;
  readonly proc: Proc;
}

/** Whether an app answers at all, be it with a refusal of its own. */
async function answers({ machine, apps, proc }: LookOptions, app: App): Promise<boolean> {
  const path = app.releaseId === null ? null : apps.release(app.releaseId).manifest.health;
  const request = new Request(`http://${app.name}.localhost${path ?? "/"}`);
  const meta = { id: machine.id("req"), address: null, userId: null, upgrade: null };
  const late = Promise.withResolvers<false>();
  const timer = machine.after(appAnswerMsMax, () => late.resolve(false));
  const asked = proc.ask(app, request, meta).then(
    (response) => {
      response.body?.cancel().catch(() => undefined);
      return response.status < 500;
    },
    // Down, broken or too slow: that is the finding.
    () => false,
  );
  const answered = await Promise.race([asked, late.promise]);
  timer.cancel();
  return answered;
}

/** The apps that a trial asks: those that run first, and no more than a machine wakes in a minute. */
function askedApps({ apps, proc }: LookOptions): App[] {
  const known = apps.ls().map((app) => ({ app, state: proc.status(app).state }));
  const rank = (state: string) => (state === "running" ? 0 : 1);
  return known
    .filter(({ app, state }) => state !== "static" && !app.stopped)
    .sort((a, b) => rank(a.state) - rank(b.state))
    .slice(0, askedAppsMax)
    .map(({ app }) => app);
}

/** What a whole look at the database finds: its pages, its rows, and whether it takes a write. */
export async function lookAtDatabase({ storage, security }: LookOptions): Promise<string[]> {
  try {
    const { problems } = await storage.check();
    const { kind, via, userId, appId, address } = localOwner("boot");
    const by = { callerKind: kind, via, userId, appId, address };
    const what = { outcome: "ok", code: null, subject: "the database takes a write" } as const;
    await security.audit.add({ ...by, ...what, call: "proc.upgrade" });
    return problems;
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

/** How the machine is now; `wanted` are the apps to ask, all that may be asked when absent. */
export async function lookAt(
  options: LookOptions,
  host: Pick<SystemHost, "network" | "failedUnits">,
  wanted?: readonly string[],
): Promise<Omit<Look, "database">> {
  const all =
    wanted === undefined
      ? askedApps(options)
      : options.apps.ls().filter(({ name }) => wanted.includes(name));
  const apps: string[] = [];
  // One after the other: to start them all at once is a load of its own.
  for (const app of all) if (await answers(options, app)) apps.push(app.name);
  return { apps, network: host.network(), failedUnits: await host.failedUnits() };
}
