/** Test support: real processes of apps written in the test, in the real sandbox. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type App, Manifest, type Release } from "../app/mod.ts";
import { SysError } from "../errno.ts";
import { type Machine, realMachine } from "../machine.ts";
import type { Answer } from "./answer.ts";
import { defaultLimits, type ProcLimits } from "./limits.ts";
import type { RequestMeta } from "./proc.ts";
import { AppProcess, type ProcessDeps } from "./process.ts";
import { findSandbox, type Launcher } from "./sandbox/mod.ts";

const kernelDir = new URL("../", import.meta.url).pathname;
const initDir = new URL("../../init/", import.meta.url).pathname;

/** Starts an app's process from the sources, as `npm start` does. */
export const testLauncher: Launcher = {
  command: [
    process.execPath,
    "--no-env-file",
    "--config=/dev/null",
    "--no-install",
    `${initDir}main.ts`,
    "app-child",
  ],
  reads: [initDir, kernelDir],
};

/** A directory of this test run; those of runs that are over go, because nothing tells of an end. */
function runDirectory(): string {
  const name = /^fazt-run-(\d+)$/;
  for (const left of readdirSync(tmpdir())) {
    const pid = name.exec(left)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    rmSync(join(tmpdir(), left), { recursive: true, force: true });
  }
  const dir = join(tmpdir(), `fazt-run-${process.pid}`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return dir;
}

const runDir = runDirectory();

export const sandbox = findSandbox(testLauncher, {
  insecure: true,
  runDir,
  machine: realMachine(),
});

export const noCalls: Answer = async ({ call }) => {
  throw new SysError("ENOSYS", `no such call: ${call}`);
};

export interface Logged {
  readonly level: string;
  readonly text: string;
}

export interface Stage {
  readonly dir: string;
  /** The app of its processes to the sandbox: what that remembers of one is this stage's alone. */
  readonly appId: string;
  readonly logged: Logged[];
  /** Resolves with the first line of output that matches. */
  line(pattern: RegExp): Promise<Logged>;
  /** Starts this source as a release. */
  spawn(source: string, options?: StageOptions): AppProcess;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface StageOptions {
  readonly limits?: Partial<ProcLimits>;
  readonly machine?: Machine;
  readonly answer?: Answer;
  readonly quotaBytes?: number;
  readonly memoryBytes?: number;
  readonly fileBytes?: number;
  readonly env?: Record<string, string>;
  readonly manifest?: Record<string, unknown>;
  /** The release's number; the next one when absent. */
  readonly number?: number;
}

/** A place for processes; ends them and removes its files when it is disposed. */
export function stage(): Stage {
  const dir = mkdtempSync(join(runDir, "proc-"));
  mkdirSync(join(dir, "volume"));
  const logged: Logged[] = [];
  let heard: (() => void)[] = [];
  const processes: AppProcess[] = [];
  let count = 0;
  const appId = `${testApp.id}_${basename(dir)}`;
  return {
    dir,
    appId,
    logged,
    async line(pattern) {
      for (;;) {
        const found = logged.find(({ text }) => pattern.test(text));
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => heard.push(resolve));
      }
    },
    spawn(source, options = {}) {
      count++;
      const releaseDir = join(dir, `release-${count}`);
      mkdirSync(releaseDir);
      writeFileSync(join(releaseDir, "server.js"), source);
      const volumeDir = join(dir, "volume");
      const command = sandbox.enclose({
        appId,
        releaseDir,
        entry: "server.js",
        volumeDir,
        memoryBytes: options.memoryBytes ?? 512 * 1024 * 1024,
        weight: 100,
        fileBytes: options.fileBytes ?? 1024 * 1024 * 1024,
      });
      const release = testRelease(options.number ?? count, options.manifest ?? {});
      const deps: ProcessDeps = {
        machine: options.machine ?? realMachine(),
        limits: { ...defaultLimits, ...options.limits },
        quotaBytes: options.quotaBytes ?? 500 * 1024 * 1024,
        answer: options.answer ?? noCalls,
        log: ({ level, text }) => {
          logged.push({ level, text });
          const told = heard;
          heard = [];
          for (const run of told) run();
        },
      };
      const program = { app: testApp, release, command, env: options.env ?? {} };
      const made = new AppProcess(program, deps);
      processes.push(made);
      return made;
    },
    async [Symbol.asyncDispose]() {
      for (const made of processes) made.kill("the test is over");
      await Promise.all(processes.map((made) => made.exited));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export const testApp: App = {
  id: "app_test",
  name: "test",
  createdAt: 0,
  releaseId: "rel_1",
  stopped: false,
  removedAt: null,
};

export function testRelease(number: number, manifest: Record<string, unknown>): Release {
  return {
    id: `rel_${number}`,
    appId: testApp.id,
    number,
    createdAt: 0,
    message: "",
    fileCount: 1,
    sizeBytes: 1,
    egressAgreed: false,
    manifest: Manifest.parse({ server: "server.js", ...manifest }),
  };
}

/** A request's circumstances when they do not matter. */
export const meta: RequestMeta = { id: "req_1", address: "192.0.2.7", userId: null, upgrade: null };
