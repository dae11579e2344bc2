/**
 * A visitor comes to an app that sleeps: from the request to the first byte of the answer, with the
 * sandbox, over a new connection each time.
 *
 * Every sample is an app that `proc ls` shows asleep: after a start of the kernel, when the release
 * must be written out once more, and after the app was put to sleep for want of visitors.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { fixture } from "./fixture.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { until } from "./process.ts";
import { type Row, valueRow } from "./row.ts";

const apps = Array.from({ length: 12 }, (_, i) => `sleeper-${i}`);
const rounds = 6;

/** A copy of the hello app that goes to sleep after a second. */
async function sleeper(bench: Bench): Promise<string> {
  const dir = bench.directory("sleeper");
  const server = await Bun.file(`${fixture("hello")}/server.js`).text();
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "server.js"), server);
  writeFileSync(join(dir, "app.json"), JSON.stringify({ server: "server.js", idle: "1s" }));
  return dir;
}

async function states(kernel: BenchKernel): Promise<string[]> {
  const list = await kernel.fazt<{ name: string; state: string }[]>("proc", "ls");
  return list.map(({ state }) => state);
}

const asleep = (kernel: BenchKernel) => async (): Promise<boolean> =>
  (await states(kernel)).every((state) => state === "sleeping");

/** Milliseconds from the request to the first byte of the answer. */
async function firstByteMs(kernel: BenchKernel, app: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const head = `GET / HTTP/1.1\r\nHost: ${kernel.hostOf(app)}\r\nConnection: close\r\n\r\n`;
  let startedMs = 0;
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: kernel.port,
    socket: {
      data(_socket, bytes) {
        const answer = bytes.toString();
        if (answer.startsWith("HTTP/1.1 200")) resolve(performance.now() - startedMs);
        else reject(new Error(answer));
      },
      error: (_socket, error) => reject(error),
      close: () => reject(new Error("closed without an answer")),
    },
  });
  startedMs = performance.now();
  socket.write(head);
  try {
    return await promise;
  } finally {
    socket.end();
  }
}

async function wakeAll(kernel: BenchKernel): Promise<number[]> {
  await until("every app sleeps", asleep(kernel));
  const samples: number[] = [];
  for (const app of apps) samples.push(await firstByteMs(kernel, app));
  return samples;
}

export async function measureWake(bench: Bench): Promise<Row[]> {
  const dataDir = await claimedDirectory(bench);
  const dir = await sleeper(bench);
  {
    await using kernel = await startKernel(bench, dataDir);
    for (const app of apps) await kernel.fazt("app", "deploy", dir, "--name", app);
  }
  await using kernel = await startKernel(bench, dataDir);
  const first = await wakeAll(kernel);
  const later: number[] = [];
  for (let round = 0; round < rounds; round++) later.push(...(await wakeAll(kernel)));
  const all = [...first, ...later];
  const unit = "ms";
  return [
    valueRow({ id: "wake", what: "cold start, median", unit, goal: { atMost: 40 } }, all),
    valueRow({ id: "wake-p99", what: "cold start, p99", unit, goal: { atMost: 120 } }, all, 0.99),
    valueRow({ id: "wake-first", what: "  the first after boot", unit, goal: null }, first),
  ];
}
