/**
 * TLS: the same file over HTTPS from fazt, nginx (one worker) and Caddy, each with an ECDSA P-256
 * certificate; HTTP/2 with ten streams a connection, and new handshakes, by nghttp2's `h2load`.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { realMachine } from "../../kernel/machine.ts";
import { makeSelf } from "../../kernel/net/cert/mod.ts";
import { type Bench, takeTurns } from "./bench.ts";
import { claimedDirectory, startKernel } from "./kernel.ts";
import { load } from "./load.ts";
import { runProgram } from "./process.ts";
import { publish, startCaddyTls, startNginxTls } from "./rival.ts";
import { type Row, ratioRow, valueRow } from "./row.ts";

const roundSeconds = 1;
const rounds = 11;

/** Requests a second as h2load tells them; throws when one failed. */
async function h2load(args: readonly string[], url: string): Promise<number> {
  const text = await runProgram(["h2load", "-t1", ...args, url]);
  const failed = /(\d+) failed, (\d+) errored/.exec(text);
  if (failed?.[1] !== "0" || failed[2] !== "0") throw new Error(`h2load: ${text}`);
  return Number(/finished in [^,]+, ([\d.]+) req\/s/.exec(text)?.[1]);
}

export async function measureTls(bench: Bench): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  const dir = bench.directory("site");
  mkdirSync(join(dir, "public"));
  publish(join(dir, "public/4k.html"), new Uint8Array(4096).fill(120));
  await kernel.fazt("app", "deploy", dir, "--name", "site");
  const root = join(dir, "public");
  const keys = bench.directory("keys");
  const { chain, key } = makeSelf(realMachine(), ["localhost", "127.0.0.1"]);
  const pair = { cert: join(keys, "cert.pem"), key: join(keys, "key.pem") };
  writeFileSync(pair.cert, chain);
  writeFileSync(pair.key, key);
  await using nginx = await startNginxTls(bench, root, pair);
  await using caddy = await startCaddyTls(bench, root, pair);
  const { port } = new URL(kernel.https);
  const url = `https://127.0.0.1:${port}`;
  const fazt = { url, host: `site.localhost:${port}` };
  const path = "/4k.html";
  type At = { readonly url: string; readonly host?: string };
  const kept = (at: At) => async () =>
    (await load({ ...at, url: at.url + path }, roundSeconds)).requestsPerS;
  const authority = ({ host }: At) => (host === undefined ? [] : ["-H", `:authority: ${host}`]);
  const streams = (at: At) => () =>
    h2load(["-c8", "-m10", "-n8000", ...authority(at)], at.url + path);
  const fresh = (at: At) => () =>
    h2load(["--h1", "-c300", "-n300", ...authority(at)], at.url + path);

  const a = await takeTurns(rounds, { fazt: kept(fazt), nginx: kept(nginx), caddy: kept(caddy) });
  const b = await takeTurns(rounds, { fazt: streams(fazt), nginx: streams(nginx) });
  const c = await takeTurns(rounds, { fazt: fresh(fazt), nginx: fresh(nginx) });
  const row = (id: string, what: string, atLeast: number) => ({
    ...{ id, what, unit: "req/s" },
    goal: { atLeast },
  });
  const against = (name: string, samples: number[]) => ({ name, samples });
  return [
    ratioRow(
      row("tls-4k-nginx", "HTTPS 4 KB, against nginx", 0.8),
      a.fazt,
      against("nginx", a.nginx),
    ),
    ratioRow(
      row("tls-4k-caddy", "HTTPS 4 KB, against Caddy", 2),
      a.fazt,
      against("Caddy", a.caddy),
    ),
    valueRow({ id: "tls-own", what: "  nginx itself", unit: "req/s", goal: null }, a.nginx),
    ratioRow(row("h2-4k-nginx", "HTTP/2, 10 streams, nginx", 1), b.fazt, against("nginx", b.nginx)),
    ratioRow(row("tls-new", "new TLS handshakes, nginx", 0.6), c.fazt, against("nginx", c.nginx)),
  ];
}
