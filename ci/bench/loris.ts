/**
 * What a normal client notices of 2,000 connections that never end a request, or never read an
 * answer, and come back whenever they are ended: its 99th percentile, quiet and under attack, round
 * by round. They are given 2 s instead of 10 and 60, so that in each round all are ended and return.
 *
 * The same attack on nginx stands beside it: what its client notices is the least there is to
 * notice, and what our client notices meanwhile is what the attackers' own work costs this machine.
 * All of them are at real-time priority, so that whoever else uses the machine is not measured.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../with.mjs";
import { type Bench, takeTurns } from "./bench.ts";
import { familyOf } from "./family.ts";
import { hurried } from "./hostile.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { type Asked, neighbourMs } from "./neighbour.ts";
import { firstLine, startProgram } from "./process.ts";
import { publish, startNginx } from "./rival.ts";
import { type Row, ratioRow, valueRow } from "./row.ts";

const rounds = 7;
const connections = 2000;
const patienceS = 2;

/** A program and all that came from it among the first of the machine, as the client is. */
function raise(pid: number): void {
  for (const one of familyOf(pid)) {
    const stdio = ["ignore", "ignore", "ignore"] as const;
    Bun.spawnSync(["chrt", "-a", "-r", "-p", "1", String(one)], { stdio: [...stdio] });
  }
}

/** The client's 99th percentile at one server while there is an attack on another, or the same. */
async function attacked(asked: Asked, victim: Asked, mode: "head" | "read"): Promise<number> {
  const host = `Host: ${victim.host}`;
  const request = {
    head: `GET / HTTP/1.1\\r\\n${host}\\r\\nX-A: `,
    read: `GET /8m.bin HTTP/1.1\\r\\n${host}\\r\\n\\r\\n`,
  }[mode];
  const loris = `${root}tests/fixtures/clients/loris.mjs`;
  const { port } = new URL(victim.url);
  const about = [port, `${connections}`, mode, request, "again"];
  await using attack = startProgram([process.execPath, loris, ...about]);
  raise(attack.pid);
  // On a busy machine the first are ended before the last have come: it goes on all the same.
  await firstLine(attack.stdout);
  return await neighbourMs(asked);
}

/** A kernel with a site that strangers may be slow at for two seconds. */
async function startSite(bench: Bench): Promise<BenchKernel> {
  const kernel = await startKernel(bench, await claimedDirectory(bench));
  const dir = bench.directory("site");
  mkdirSync(join(dir, "public"));
  writeFileSync(join(dir, "public/index.html"), "hello");
  publish(join(dir, "public/8m.bin"), new Uint8Array(8 << 20).fill(120));
  await kernel.fazt("app", "deploy", dir, "--name", "site");
  for (const name of ["net.headS", "net.slowReadS"])
    await kernel.fazt("net", "limit", "set", name, `${patienceS}`);
  return kernel;
}

export async function measureLoris(bench: Bench): Promise<Row[]> {
  await using kernel = await startSite(bench);
  const files = bench.directory("www");
  publish(join(files, "index.html"), new TextEncoder().encode("hello"));
  const options = { fileCache: false, probe: "/index.html", patienceS };
  await using nginx = await startNginx(bench, files, options);
  raise(process.pid);
  using _hurried = hurried();
  const ours = { url: kernel.url, host: kernel.hostOf("site") };
  const theirs = { url: nginx.url, host: "localhost" };
  const samples = await takeTurns(rounds, {
    quiet: () => neighbourMs(ours),
    head: () => attacked(ours, ours, "head"),
    read: () => attacked(ours, ours, "read"),
    aside: () => attacked(ours, theirs, "head"),
    nginxQuiet: () => neighbourMs(theirs),
    nginxHead: () => attacked(theirs, theirs, "head"),
  });
  const quiet = { name: "quiet", samples: samples.quiet };
  const nginxQuiet = { name: "its own quiet", samples: samples.nginxQuiet };
  const row = (id: string, what: string) => ({ id, what, unit: "ms", goal: { atMost: 3 } });
  const told = (id: string, what: string) => ({ ...row(id, what), goal: null });
  return [
    ratioRow(row("loris-head", "p99 beside 2,000 half requests"), samples.head, quiet),
    ratioRow(row("loris-read", "p99 beside 2,000 who do not read"), samples.read, quiet),
    valueRow(told("loris-quiet", "  quiet"), samples.quiet),
    ratioRow(told("loris-aside", "  half requests at nginx"), samples.aside, quiet),
    ratioRow(
      told("loris-nginx", "nginx beside 2,000 half requests"),
      samples.nginxHead,
      nginxQuiet,
    ),
    valueRow(told("loris-nginx-quiet", "  quiet"), samples.nginxQuiet),
  ];
}
