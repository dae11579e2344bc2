/**
 * The replica on an S3 server on this machine: how far it lags behind, what it costs writers, what
 * it asks when nothing happens, and how quickly a machine comes back from it.
 */
import { statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { S3Client } from "bun";
import { type S3, startS3 } from "../../tests/s3.ts";
import { type Bench, takeTurns } from "./bench.ts";
import { fixture } from "./fixture.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { runProgram } from "./process.ts";
import { median, type Row, ratioRow, valueRow } from "./row.ts";

const lagSeconds = 20;
const writesPerS = 100;
const sampleMs = 50;
const idleMs = 10_000;
const costMs = 3000;
const costRounds = 7;
const restoreBytes = 1024 ** 3;
const restoreRounds = 3;
const fileBytes = 64 * 1024 * 1024;

interface Follow {
  readonly database: string;
  readonly waitingSince: number | null;
}

interface Status {
  readonly state: string;
  readonly databases: readonly Follow[];
}

/** Where a replica is. */
interface Place {
  readonly s3: S3;
  readonly prefix: string;
}

async function replicate(bench: Bench, kernel: BenchKernel, to: Place): Promise<void> {
  const { s3, prefix } = to;
  const secretFile = join(bench.directory("secret"), "secret");
  await writeFile(secretFile, s3.secret, { mode: 0o600 });
  const place = [`s3://${s3.bucket}/${prefix}`, "--endpoint", s3.endpoint, "--region", "us-east-1"];
  const key = ["--key-id", s3.keyId, "--secret-file", secretFile];
  await kernel.fazt("driver", "replica", "set", ...place, ...key);
  await kernel.fazt("driver", "replica", "flush");
}

/** Asks the kernel itself, not by a command: twenty times a second. */
async function status(kernel: BenchKernel): Promise<Status> {
  const response = await fetch("http://localhost/sys/driver/replica/status", {
    method: "POST",
    body: "{}",
    unix: join(kernel.dataDir, "run", "fazt.sock"),
  });
  return (await response.json()) as Status;
}

/** How long what waits has waited, many times during steady writes, in seconds. */
async function lags(kernel: BenchKernel): Promise<number[]> {
  const url = `${kernel.url}/?ms=${lagSeconds * 1000}&callers=1&perSecond=${writesPerS}`;
  let writing = true;
  const writes = fetch(url, { headers: { host: kernel.hostOf("kv") } }).finally(() => {
    writing = false;
  });
  const samples: number[] = [];
  while (writing) {
    const { databases } = await status(kernel);
    const since = databases.find(({ database }) => database === "data.db")?.waitingSince ?? null;
    samples.push(since === null ? 0 : Math.max(0, Date.now() - since) / 1000);
    await Bun.sleep(sampleMs);
  }
  const response = await writes;
  if (!response.ok) throw new Error(`kv: ${response.status}`);
  return samples;
}

async function requestsWhenIdle(kernel: BenchKernel, s3: S3): Promise<number> {
  await kernel.fazt("driver", "replica", "flush");
  await Bun.sleep(2000);
  const before = s3.asked.length;
  await Bun.sleep(idleMs);
  return s3.asked.length - before;
}

async function writesPerSecond(kernel: BenchKernel): Promise<number> {
  const url = `${kernel.url}/?ms=${costMs}&callers=64`;
  const response = await fetch(url, { headers: { host: kernel.hostOf("kv") } });
  if (!response.ok) throw new Error(`kv: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { perSecond: number }).perSecond;
}

async function fill(kernel: BenchKernel, bench: Bench): Promise<void> {
  const directory = bench.directory("fill");
  for (let i = 0; i * fileBytes < restoreBytes; i++) {
    const path = join(directory, `part-${i}`);
    const parts = Array.from({ length: fileBytes / 65_536 }, () =>
      crypto.getRandomValues(new Uint8Array(65_536)),
    );
    await writeFile(path, Buffer.concat(parts));
    await kernel.fazt("fs", "cp", path, `vfs:/home/part-${i}`);
  }
}

/** Every object of the replica to a file, one after another, as any client of S3 does. */
async function plainCopy(s3: S3, prefix: string, to: string): Promise<number> {
  const { endpoint, bucket, keyId: accessKeyId, secret: secretAccessKey } = s3;
  const client = new S3Client({ endpoint, bucket, accessKeyId, secretAccessKey });
  const { contents = [] } = await client.list({ prefix });
  let bytes = 0;
  for (const [i, { key }] of contents.entries()) {
    const path = join(to, String(i));
    await Bun.write(path, client.file(key));
    bytes += statSync(path).size;
  }
  return bytes;
}

async function restores(bench: Bench, s3: S3): Promise<Row> {
  const prefix = "large";
  {
    await using kernel = await startKernel(bench, await claimedDirectory(bench));
    await fill(kernel, bench);
    await replicate(bench, kernel, { s3, prefix });
    await kernel.fazt("driver", "replica", "snapshot");
  }
  const secretFile = join(bench.directory("secret"), "secret");
  await writeFile(secretFile, s3.secret, { mode: 0o600 });
  let bytes = 0;
  const rate = async (work: () => Promise<unknown>) => {
    const startedMs = performance.now();
    await work();
    await runProgram(["sync"]);
    return bytes / 1e3 / (performance.now() - startedMs);
  };
  const { plain, restore } = await takeTurns(restoreRounds, {
    plain: async () => {
      const to = bench.directory("copy");
      const startedMs = performance.now();
      bytes = await plainCopy(s3, prefix, to);
      await runProgram(["sync"]);
      return bytes / 1e3 / (performance.now() - startedMs);
    },
    restore: () => {
      const into = join(bench.directory("restored"), "data");
      const place = ["--from", `s3://${s3.bucket}/${prefix}`, "--endpoint", s3.endpoint];
      const key = ["--region", "us-east-1", "--key-id", s3.keyId, "--secret-file", secretFile];
      const command = ["driver", "replica", "restore", ...place, ...key, "--data", into, "--json"];
      return rate(() => runProgram([bench.fazt, ...command]));
    },
  });
  const what = "restore of 1 GB, against a plain copy from S3";
  return ratioRow({ id: "restore-1g", what, unit: "MB/s", goal: { atLeast: 0.5 } }, restore, {
    name: "copy",
    samples: plain,
  });
}

/** How quickly a machine comes back. */
export async function measureRestore(bench: Bench): Promise<Row[]> {
  await using s3 = await startS3();
  return [await restores(bench, s3)];
}

/** How far behind it is, and what it costs. */
export async function measureReplica(bench: Bench): Promise<Row[]> {
  await using s3 = await startS3();
  const rows: Row[] = [];
  {
    await using kernel = await startKernel(bench, await claimedDirectory(bench));
    await using quiet = await startKernel(bench, await claimedDirectory(bench));
    for (const one of [kernel, quiet]) {
      await one.fazt("app", "deploy", fixture("kv"), "--name", "kv");
    }
    await replicate(bench, kernel, { s3, prefix: "small" });
    const samples = await lags(kernel);
    const asked = await requestsWhenIdle(kernel, s3);
    const { replicated, alone } = await takeTurns(costRounds, {
      replicated: () => writesPerSecond(kernel),
      alone: () => writesPerSecond(quiet),
    });
    const lag = { unit: "s", goal: null };
    rows.push(
      valueRow(
        { ...lag, id: "replica-lag", what: "replica lag at 100 writes/s", goal: { atMost: 1 } },
        samples,
      ),
      valueRow(
        { ...lag, id: "replica-lag-max", what: "  the longest", goal: { atMost: 2 } },
        samples,
        1,
      ),
      valueRow(
        {
          id: "replica-idle",
          what: "  requests to S3 in 10 idle seconds",
          unit: "requests",
          goal: { atMost: 0 },
        },
        [asked],
      ),
      ratioRow(
        {
          id: "replica-cost",
          what: "durable kv.set while replicating",
          unit: "writes/s",
          goal: { atLeast: 0.9 },
        },
        replicated,
        { name: "alone", samples: alone },
      ),
    );
    bench.say(`replica: median lag ${median(samples)} s`);
  }
  return rows;
}
