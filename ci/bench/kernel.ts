/**
 * The kernel that is measured: `fazt proc start` in a process of its own, claimed, with the sandbox
 * on, spoken to by `fazt` commands as a person would.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { firstLine, runProgram, startProgram } from "./process.ts";

export interface BenchKernel extends AsyncDisposable {
  /** Base URL of the HTTPS listener. */
  readonly https: string;
  readonly pid: number;
  readonly port: number;
  readonly dataDir: string;
  /** What the ready line says. */
  readonly bootMs: number;
  /** From the spawn of the process to its ready line. */
  readonly startMs: number;
  /** Runs a `fazt` command and gives its JSON. */
  fazt<T>(...args: string[]): Promise<T>;
  /** The URL of an app by address, and the Host header that goes with it. */
  hostOf(app: string): string;
  readonly url: string;
}

/** What `fazt app deploy --json` prints. */
export interface Deployed {
  readonly uploadedBytes: number;
  readonly files: number;
  readonly ms: number;
}

/** A new data directory with an owner. */
export async function claimedDirectory(bench: Bench): Promise<string> {
  const dataDir = bench.directory("data");
  const passFile = join(bench.directory("pass"), "pass");
  writeFileSync(passFile, "gravel otter lamp seven\n", { mode: 0o600 });
  const owner = ["--domain", "localhost", "--email", "me@example.com"];
  const claim = ["proc", "init", "--data", dataDir, ...owner, "--root-pass-file", passFile];
  await runProgram([bench.fazt, ...claim, "--json"]);
  return dataDir;
}

/** Starts a kernel on a data directory. */
export async function startKernel(bench: Bench, dataDir: string): Promise<BenchKernel> {
  const startedMs = performance.now();
  const options = ["--data", dataDir, "--http", "127.0.0.1:0", "--json"];
  const started = startProgram([bench.fazt, "proc", "start", ...options]);
  const ready = JSON.parse(await firstLine(started.stdout)) as {
    http: string;
    https: string;
    bootMs: number;
  };
  const startMs = performance.now() - startedMs;
  const { port } = new URL(ready.http);
  return {
    pid: started.pid,
    port: Number(port),
    dataDir,
    bootMs: ready.bootMs,
    startMs,
    fazt: async <T>(...args: string[]) => {
      const output = await runProgram([bench.fazt, ...args, "--data", dataDir, "--json"]);
      return JSON.parse(output) as T;
    },
    hostOf: (app) => `${app}.localhost:${port}`,
    url: `http://127.0.0.1:${port}`,
    https: ready.https,
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  };
}

/** Anonymous memory of a process in MB: what it alone costs the machine. */
export function anonymousMb(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kb = /^Anonymous:\s+(\d+) kB/m.exec(text)?.[1];
  return Number(kb) / 1000;
}
