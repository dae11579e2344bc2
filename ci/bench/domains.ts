/**
 * What a thousand domains add to a request: processor time of the kernel a request (route lookup,
 * kept connections, every host in turn) and a new TLS connection (certificate choice, a name in the
 * middle of the table), against a kernel with one domain, in turns. The files are as many, so that
 * only the hosts differ; throughput would hide it behind the client's own work.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launcher } from "../../init/launcher.ts";
import { boot } from "../../kernel/boot.ts";
import { realMachine } from "../../kernel/machine.ts";
import { createCertStore, makeSelf } from "../../kernel/net/cert/mod.ts";
import { type Bench, takeTurns } from "./bench.ts";
import { cpuMs } from "./family.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { readReport } from "./load.ts";
import { runProgram } from "./process.ts";
import { publish } from "./rival.ts";
import { type Row, ratioRow, valueRow } from "./row.ts";

const rounds = 11;
const roundSeconds = 2;
const fresh = 300;
const many = 1000;

/** No authority is asked for names that are documents' own. */
const hostOf = (n: number) => `h${n}.bench.example`;

/** A kernel whose one app has so many domains, each with a certificate of its own. */
async function withDomains(bench: Bench, count: number): Promise<BenchKernel> {
  const dataDir = await claimedDirectory(bench);
  {
    await using kernel = await startKernel(bench, dataDir);
    const dir = bench.directory("site");
    mkdirSync(join(dir, "public"));
    for (let n = 0; n < many; n++) {
      publish(join(dir, `public/${n}.html`), new Uint8Array(4096).fill(n));
    }
    await kernel.fazt("app", "deploy", dir, "--name", "site");
  }
  const { kernel, close } = await boot({ dataDir, version: "bench", launcher: launcher() });
  const store = createCertStore(kernel.storage, kernel.security);
  const [app] = kernel.app.ls();
  for (let n = 0; n < count; n++) {
    const made = makeSelf(realMachine(), [hostOf(n)]);
    const cert = { ...made, name: hostOf(n), issuer: "acme" as const };
    await kernel.storage.write((tx) => store.put(tx, cert));
    await kernel.net.routes.add(hostOf(n), app?.id ?? "");
  }
  await close();
  return await startKernel(bench, dataDir);
}

/** wrk's script: a thousand files in turn, each from the next host: as many lines of the log. */
function script(bench: Bench, count: number): string {
  const path = join(bench.directory("wrk"), "hosts.lua");
  const lines = [
    "local at, all = 0, {}",
    `init = function() for n = 0, ${many - 1} do`,
    `  local host = "h" .. n % ${count} .. ".bench.example"`,
    '  all[n] = wrk.format("GET", "/" .. n .. ".html", { Host = host })',
    "end end",
    `request = function() at = (at + 1) % ${many}; return all[at] end`,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

const portOf = ({ https }: BenchKernel) => new URL(https).port;

/** Microseconds of the kernel's processor time that each of `count` took. */
async function eachUs(kernel: BenchKernel, run: () => Promise<number>): Promise<number> {
  const before = cpuMs(kernel.pid);
  const count = await run();
  return ((cpuMs(kernel.pid) - before) * 1000) / count;
}

export async function measureDomains(bench: Bench): Promise<Row[]> {
  await using one = await withDomains(bench, 1);
  await using all = await withDomains(bench, many);
  const request = (kernel: BenchKernel, count: number) => {
    const about = ["-t1", "-c32", `-d${roundSeconds}s`, "-s", script(bench, count)];
    const url = `https://127.0.0.1:${portOf(kernel)}`;
    return () =>
      eachUs(kernel, async () => {
        const { requestsPerS } = readReport(await runProgram(["wrk", ...about, url]));
        return requestsPerS * roundSeconds;
      });
  };
  const connection = (kernel: BenchKernel, name: string) => {
    const to = ["--connect-to", `127.0.0.1:${portOf(kernel)}`];
    const about = ["h2load", "--h1", "-t1", `-c${fresh}`, `-n${fresh}`, ...to];
    const url = `https://${name}:${portOf(kernel)}/0.html`;
    return () =>
      eachUs(kernel, async () => {
        const text = await runProgram([...about, url]);
        if (!text.includes(`${fresh} 2xx`)) throw new Error(`h2load: ${text}`);
        return fresh;
      });
  };
  const a = await takeTurns(rounds, { one: request(one, 1), all: request(all, many) });
  const middle = hostOf(many / 2);
  const b = await takeTurns(rounds, {
    one: connection(one, hostOf(0)),
    all: connection(all, middle),
  });
  const row = (id: string, what: string) => ({
    ...{ id, what, unit: "µs" },
    goal: { atMost: 1.05 },
  });
  const named = (samples: number[]) => ({ name: "one", samples });
  return [
    ratioRow(row("domains-request", "CPU a request, 1,000 domains"), a.all, named(a.one)),
    ratioRow(row("domains-tls", "CPU a TLS connection, 1,000 domains"), b.all, named(b.one)),
    valueRow({ ...row("domains-own", "  a connection, one domain"), goal: null }, b.one),
  ];
}
