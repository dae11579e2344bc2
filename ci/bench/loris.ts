/**
 * What a normal client notices of 2,000 connections that never end a request, or never read an
 * answer, and come back whenever they are ended: its 99th percentile, quiet and under attack, round
 * by round. They are given 2 s instead of 10 and 60, so that in each round all are ended and return.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../with.mjs";
import { type Bench, takeTurns } from "./bench.ts";
import { hurried } from "./hostile.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { neighbourMs } from "./neighbour.ts";
import { firstLine, startProgram } from "./process.ts";
import { publish } from "./rival.ts";
import { type Row, ratioRow, valueRow } from "./row.ts";

const rounds = 7;
const connections = 2000;

/** The client's 99th percentile while the attack goes on. */
async function attacked(kernel: BenchKernel, mode: "head" | "read"): Promise<number> {
  const host = `Host: ${kernel.hostOf("site")}`;
  const request = {
    head: `GET / HTTP/1.1\\r\\n${host}\\r\\nX-A: `,
    read: `GET /8m.bin HTTP/1.1\\r\\n${host}\\r\\n\\r\\n`,
  }[mode];
  const loris = `${root}tests/fixtures/clients/loris.mjs`;
  const about = [`${kernel.port}`, `${connections}`, mode, request, "again"];
  await using attack = startProgram([process.execPath, loris, ...about]);
  // On a busy machine the first are ended before the last have come: it goes on all the same.
  await firstLine(attack.stdout);
  return await neighbourMs(kernel, "site");
}

export async function measureLoris(bench: Bench): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  const dir = bench.directory("site");
  mkdirSync(join(dir, "public"));
  writeFileSync(join(dir, "public/index.html"), "hello");
  publish(join(dir, "public/8m.bin"), new Uint8Array(8 << 20).fill(120));
  await kernel.fazt("app", "deploy", dir, "--name", "site");
  for (const name of ["net.headS", "net.slowReadS"])
    await kernel.fazt("net", "limit", "set", name, "2");
  // The client stands for one on a machine of its own: it is not to wait for the attack's processor.
  using _hurried = hurried();
  const samples = await takeTurns(rounds, {
    quiet: () => neighbourMs(kernel, "site"),
    head: () => attacked(kernel, "head"),
    read: () => attacked(kernel, "read"),
  });
  const quiet = { name: "quiet", samples: samples.quiet };
  const row = (id: string, what: string) => ({ id, what, unit: "ms", goal: { atMost: 3 } });
  return [
    ratioRow(row("loris-head", "p99 beside 2,000 half requests"), samples.head, quiet),
    ratioRow(row("loris-read", "p99 beside 2,000 who do not read"), samples.read, quiet),
    valueRow({ ...row("loris-quiet", "  quiet"), goal: null }, samples.quiet),
  ];
}
