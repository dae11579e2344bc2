/**
 * Static files: the same file from fazt, from nginx and from Caddy.
 *
 * nginx stands twice: as it is (the target), and with `open_file_cache`, which spares it two system
 * calls a request at the price of serving what is up to a minute old.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Bench, takeTurns } from "./bench.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { load } from "./load.ts";
import { publish, startCaddy, startNginx } from "./rival.ts";
import { type Row, ratioRow, valueRow } from "./row.ts";

const roundSeconds = 1;
const rounds = 15;

/** Text of words, so that it is neither empty of content nor noise. */
function text(sizeBytes: number): Uint8Array {
  const line = "<p>The quick brown fox jumps over the lazy dog, and the day goes on.</p>\n";
  return new TextEncoder()
    .encode(line.repeat(Math.ceil(sizeBytes / line.length)))
    .subarray(0, sizeBytes);
}

async function deploySite(kernel: BenchKernel, bench: Bench): Promise<string> {
  const dir = bench.directory("site");
  mkdirSync(join(dir, "public"));
  publish(join(dir, "public/4k.html"), text(4096));
  publish(join(dir, "public/1m.html"), text(1 << 20));
  await kernel.fazt("app", "deploy", dir, "--name", "site");
  return join(dir, "public");
}

export async function measureStatic(bench: Bench): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  const root = await deploySite(kernel, bench);
  await using nginx = await startNginx(bench, root, { fileCache: false, probe: "/4k.html" });
  await using caching = await startNginx(bench, root, { fileCache: true, probe: "/4k.html" });
  await using caddy = await startCaddy(bench, root, "/4k.html");
  const fazt = { url: kernel.url, host: kernel.hostOf("site") };
  const small = (at: { url: string; host?: string }) => async () =>
    (await load({ ...at, url: `${at.url}/4k.html` }, roundSeconds)).requestsPerS;
  const large = (at: { url: string; host?: string }) => async () =>
    (await load({ ...at, url: `${at.url}/1m.html` }, roundSeconds)).bytesPerS / 1e6;

  const a = await takeTurns(rounds, {
    fazt: small(fazt),
    nginx: small(nginx),
    caching: small(caching),
    caddy: small(caddy),
  });
  const b = await takeTurns(rounds, { fazt: large(fazt), nginx: large(nginx) });
  const of = (id: string, what: string, unit = "req/s") => ({ id, what, unit });
  const against = (name: string, samples: number[]) => ({ name, samples });
  return [
    ratioRow(
      { ...of("static-4k-nginx", "static 4 KB, against nginx"), goal: { atLeast: 0.9 } },
      a.fazt,
      against("nginx", a.nginx),
    ),
    ratioRow(
      { ...of("static-4k-nginx-cache", "static 4 KB, nginx + open_file_cache"), goal: null },
      a.fazt,
      against("nginx", a.caching),
    ),
    ratioRow(
      { ...of("static-4k-caddy", "static 4 KB, against Caddy"), goal: { atLeast: 3 } },
      a.fazt,
      against("Caddy", a.caddy),
    ),
    valueRow({ ...of("static-4k-nginx-own", "  nginx itself"), goal: null }, a.nginx),
    valueRow({ ...of("static-4k-caddy-own", "  Caddy itself"), goal: null }, a.caddy),
    ratioRow(
      { ...of("static-1m-nginx", "static 1 MB, nginx sendfile", "MB/s"), goal: { atLeast: 0.5 } },
      b.fazt,
      against("nginx", b.nginx),
    ),
  ];
}
