/**
 * The bundle: parts with a name, gathered one by one, each bounded in time and rows.
 */
import { availableParallelism, freemem, loadavg, release, totalmem } from "node:os";
import type { Apps } from "../../app/mod.ts";
import { localOwner } from "../../caller.ts";
import type { Driver } from "../../driver/mod.ts";
import type { Fs } from "../../fs/mod.ts";
import type { Machine } from "../../machine.ts";
import type { Interfaces } from "../../net/iface/mod.ts";
import type { Net } from "../../net/mod.ts";
import type { Security } from "../../security/mod.ts";
import type { Storage } from "../../storage/mod.ts";
import type { Channel } from "../channel/mod.ts";
import type { Proc } from "../mod.ts";
import type { Modes } from "../mode/mod.ts";
import type { System } from "../system/mod.ts";
import type { Upgrade } from "../upgrade/mod.ts";
import { appsMax, logLinesMax, partMsMax, triedMax } from "./limits.ts";
import { redactor } from "./redact.ts";

export interface About {
  readonly machine: Machine;
  readonly version: string;
  readonly storage: Storage;
  readonly security: Security;
  readonly fs: Fs;
  readonly app: Apps;
  readonly proc: Proc;
  readonly mode: Modes;
  readonly net: Net;
  readonly iface: Interfaces;
  readonly driver: Driver;
  readonly system: System;
  readonly upgrade: Upgrade;
  readonly channel: Channel;
}

type Parts = Readonly<Record<string, () => unknown>>;

/** The lines of a pseudo file of `/sys/`. */
async function sysfile({ fs }: About, name: string): Promise<string[]> {
  const whole = { offset: 0, length: null };
  const { stream } = await fs.read(localOwner("boot"), `/sys/${name}`, whole);
  return (await new Response(stream).text()).trimEnd().split("\n");
}

/** Tables with the highest row of each: near enough to their size, and cheap. */
function tables({ storage: { read } }: About): Record<string, number | null> {
  const names = read.all<{ name: string }>(
    "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
  );
  const highest = (name: string): number | null => {
    try {
      const sql = `SELECT max(rowid) AS last FROM "${name.replaceAll('"', '""')}"`;
      return read.get<{ last: number | null }>(sql)?.last ?? 0;
    } catch {
      // A table without row ids.
      return null;
    }
  };
  return Object.fromEntries(names.map(({ name }) => [name, highest(name)]));
}

function appsOf({ app, proc, net }: About) {
  return app
    .ls()
    .slice(0, appsMax)
    .map((one) => ({
      ...proc.status(one),
      url: net.urlOf(one.name),
      variables: app.env.ls(one.id).length,
    }));
}

function logOf({ storage }: About): string[] {
  const lines = storage.logs.query({ app: "kernel", limit: logLinesMax });
  return lines.map(({ at, level, text }) => `${new Date(at).toISOString()} ${level} ${text}`);
}

/** What keeps the OS host from being served. */
function doctorOf({ net, security }: About) {
  const domain = security.owner()?.domain;
  return domain === undefined ? "nobody's machine yet" : net.doctor(`os.${domain}`);
}

const parts = (about: About): Parts => {
  const { machine, version, storage, net, iface, driver, mode, system, upgrade, channel } = about;
  return {
    machine: () => ({
      version,
      at: new Date(machine.now()).toISOString(),
      kernel: `${process.platform} ${release()} ${process.arch}`,
      processors: availableParallelism(),
      load: loadavg(),
      memoryBytes: totalmem(),
      freeBytes: freemem(),
      appliance: system.present(),
    }),
    health: () => sysfile(about, "health"),
    mode: () => mode.now(),
    program: () => ({ ...upgrade.slots(), history: undefined }),
    system: () => (system.present() ? system.slots() : "not ours"),
    channel: () => channel.setting(),
    tried: () => channel.tried().slice(0, triedMax),
    storage: () => storage.status(),
    schema: () => storage.migrations(),
    tables: () => tables(about),
    apps: () => appsOf(about),
    routes: () => net.routes.ls(),
    net: () => net.status(),
    names: () => iface.names(),
    doctor: () => doctorOf(about),
    replica: () => driver.replica.status(),
    limits: () => sysfile(about, "limits"),
    log: () => logOf(about),
  };
};

/** A part, or why it cannot be told. */
async function told(machine: Machine, part: () => unknown): Promise<unknown> {
  const late = Promise.withResolvers<string>();
  const timer = machine.after(partMsMax, () => late.resolve("it took too long to find out"));
  try {
    return await Promise.race([(async () => await part())(), late.promise]);
  } catch (error) {
    return `it cannot be told: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    timer.cancel();
  }
}

/** Every secret that this kernel can say by heart. */
function knownSecrets({ app, security }: About): string[] {
  const values = app.ls().flatMap(({ releaseId }) => {
    try {
      return releaseId === null ? [] : Object.values(app.env.resolve(app.release(releaseId)));
    } catch {
      // Sealed by a machine key that is lost: nobody here can say it.
      return [];
    }
  });
  return [...values, security.setupCode() ?? ""];
}

/** The bundle as text: JSON, one part below the other, for people to read before they give it away. */
export async function bundleOf(about: About): Promise<string> {
  const redact = redactor(knownSecrets(about));
  const found: Record<string, unknown> = {};
  for (const [name, part] of Object.entries(parts(about))) {
    found[name] = redact(await told(about.machine, part));
  }
  return `${JSON.stringify(found, null, 1)}\n`;
}
