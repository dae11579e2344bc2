/**
 * `npm run bench [-- GROUP…]`: measures fazt and what it is measured against in one run on this
 * machine, prints a table and writes `dist/bench.json`. Nothing here passes or fails: figures are
 * told as they are. `docs/PERFORMANCE.md` says how they are made and what holds them back. A group
 * compares within itself; the report keeps the last run of each, with its time and commit.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import manifest from "../package.json";
import { measureApp } from "./bench/app.ts";
import { measureBackup } from "./bench/backup.ts";
import { type Bench, createBench } from "./bench/bench.ts";
import { measureDomains } from "./bench/domains.ts";
import { measureDurable } from "./bench/durable.ts";
import { measureHostile, measureHostileDisk } from "./bench/hostile.ts";
import { measureImage, measureImageBoot } from "./bench/image.ts";
import { measureLoris } from "./bench/loris.ts";
import { measureMemory } from "./bench/memory.ts";
import { measureMixed } from "./bench/mixed.ts";
import { measureSystemUpgrade } from "./bench/osupgrade.ts";
import { measureProc } from "./bench/proc.ts";
import { measureReplica, measureRestore } from "./bench/replica.ts";
import { measureDeploy } from "./bench/rollout.ts";
import { type Row, render } from "./bench/row.ts";
import { measureSockets } from "./bench/sockets.ts";
import { measureStart } from "./bench/start.ts";
import { measureStatic } from "./bench/static.ts";
import { measureTls } from "./bench/tls.ts";
import { measureUpgrade } from "./bench/upgrade.ts";
import { measureVfs } from "./bench/vfs.ts";
import { measureWake } from "./bench/wake.ts";
import { build } from "./build.ts";
import { ensureSystem } from "./install.ts";
import { root } from "./with.mjs";

const groups: Readonly<Record<string, (bench: Bench) => Promise<Row[]>>> = {
  static: measureStatic,
  tls: measureTls,
  domains: measureDomains,
  app: measureApp,
  kv: measureDurable,
  mixed: measureMixed,
  vfs: measureVfs,
  replica: measureReplica,
  restore: measureRestore,
  backup: measureBackup,
  cold: measureWake,
  proc: measureProc,
  boot: measureStart,
  memory: measureMemory,
  sockets: measureSockets,
  deploy: measureDeploy,
  image: measureImage,
  "image-boot": measureImageBoot,
  upgrade: measureUpgrade,
  osupgrade: measureSystemUpgrade,
  hostile: measureHostile,
  "hostile-disk": measureHostileDisk,
  loris: measureLoris,
};

/** A group's rows, and of when and what they are. */
interface Measured {
  readonly at: string;
  /** The commit; `+` behind it: files had been changed since. */
  readonly of: string;
  readonly rows: readonly Row[];
}

const reportPath = `${root}dist/bench.json`;

/** What earlier runs on this machine measured; a report of another form or machine is begun anew. */
function earlier(): Record<string, Measured> {
  if (!existsSync(reportPath)) return {};
  const report = JSON.parse(readFileSync(reportPath, "utf8"));
  return Bun.deepEquals(report.machine, machine()) ? (report.groups ?? {}) : {};
}

function commit(): string {
  if (Bun.which("git") === null) return "unknown";
  const { stdout } = Bun.spawnSync(["git", "describe", "--always", "--dirty=+"], { cwd: root });
  return stdout.toString().trim() || "unknown";
}

function machine() {
  const cpu = cpus()[0]?.model ?? "unknown";
  return { cores: availableParallelism(), memory: totalmem(), cpu };
}

async function main(wanted: readonly string[]): Promise<number> {
  const unknown = wanted.find((name) => !(name in groups));
  if (unknown !== undefined) {
    console.error(`no group "${unknown}": ${Object.keys(groups).join(", ")}`);
    return 2;
  }
  if (ensureSystem("bench").length > 0) return 1;
  using bench = createBench(await build());
  const measured = earlier();
  const rows: Row[] = [];
  for (const [name, measure] of Object.entries(groups)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    bench.say(name);
    const found = await measure(bench);
    rows.push(...found);
    measured[name] = { at: new Date().toISOString(), of: commit(), rows: found };
    const report = { version: manifest.version, machine: machine(), groups: measured };
    writeFileSync(reportPath, `${JSON.stringify(report, null, 2)}\n`);
  }
  console.log(render(rows));
  return 0;
}

process.exit(await main(process.argv.slice(2)));
