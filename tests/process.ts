/**
 * A kernel in a process of its own, as a person has one: started by `fazt proc start`, claimed with
 * the setup code it printed, driven by the `fazt` command, by HTTP and by clients that are not ours.
 *
 *     await using machine = await startProcess();
 *     await machine.fazt("app", "deploy", dir);
 *
 * It can be killed and started again on the same data directory. Everything it left is removed at
 * the end; only processes started here are ended, by their pid.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Ready } from "../init/start.ts";
import { kebab } from "../kernel/call.ts";
import type { ErrorBody } from "../kernel/errno.ts";
import { testRootPass } from "./kernel.ts";

const main = fileURLToPath(new URL("../init/main.ts", import.meta.url));

/** How a command ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProcessOptions {
  readonly dataDir?: string;
  /** False leaves the machine to nobody. */
  readonly claimed?: boolean;
  readonly args?: readonly string[];
}

/** The environment of what is started here: nothing of this process's own settings. */
function environment(home: string): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", HOME: home, XDG_CONFIG_HOME: join(home, ".config") };
}

/** The command line of `fazt` in this checkout. */
export const program = [process.execPath, "--no-env-file", main];

/** Runs a program to its end. */
export async function run(
  command: readonly string[],
  options: { env?: Record<string, string>; stdin?: string; timeout?: number } = {},
): Promise<Ended> {
  const { stdin, ...rest } = options;
  const child = Bun.spawn([...command], {
    ...rest,
    stdin: stdin === undefined ? "ignore" : new Blob([stdin]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** The longest a command may take, milliseconds: a kernel that should have refused to start ends. */
const commandMsMax = 60_000;

/** `fazt` on a data directory, whether a kernel runs there or not. */
export function fazt(dataDir: string, args: readonly string[]): Promise<Ended> {
  const env = { ...environment(join(dataDir, "..")), FAZT_DATA: dataDir };
  return run([...program, ...args], { env, timeout: commandMsMax });
}

/** A refusal of a call over HTTP. */
export class CallRefused extends Error {
  readonly status: number;
  readonly body: ErrorBody;

  constructor(status: number, body: ErrorBody) {
    super(`${body.code}: ${body.message}`);
    this.status = status;
    this.body = body;
  }
}

/** What a request to the machine may say beside its path. */
export type Asked = Omit<RequestInit, "headers"> & {
  headers?: Record<string, string>;
  /** As Bun's fetch has it: false leaves an encoded body as it came. */
  decompress?: boolean;
};

/** A running kernel; the port and the pid are others after a restart. */
export class KernelProcess implements AsyncDisposable {
  readonly dataDir: string;
  readonly #directory: string;
  readonly #args: readonly string[];
  #child: Bun.Subprocess<"ignore", "pipe", "pipe"> | null = null;
  #ready: Ready | null = null;
  #token = "";

  constructor({ dataDir, args = [] }: ProcessOptions) {
    this.#directory = mkdtempSync(join(tmpdir(), "fazt-process-"));
    this.dataDir = dataDir ?? join(this.#directory, "data");
    this.#args = args;
  }

  get ready(): Ready {
    if (this.#ready === null) throw new Error("the kernel does not run");
    return this.#ready;
  }

  get pid(): number {
    if (this.#child === null) throw new Error("the kernel does not run");
    return this.#child.pid;
  }

  get token(): string {
    return this.#token;
  }

  get port(): number {
    return Number(new URL(this.ready.http).port);
  }

  /** A directory that is removed with the machine. */
  scratch(name: string): string {
    const path = join(this.#directory, name);
    if (!existsSync(path)) mkdirSync(path, { recursive: true });
    return path;
  }

  /** Starts it, or throws with what it said when it does not come up. */
  async start(): Promise<Ready> {
    const args = ["--data", this.dataDir, "--http", "127.0.0.1:0", "--json", ...this.#args];
    const child = Bun.spawn([...program, "proc", "start", ...args], {
      env: environment(this.#directory),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    const said = child.stderr.text();
    const line = await firstLine(child.stdout);
    if (line === null) {
      this.#child = null;
      throw new Error(`the kernel exited ${await child.exited}: ${await said}`);
    }
    this.#ready = JSON.parse(line) as Ready;
    return this.#ready;
  }

  /** Ends it and waits; answers its exit code, null when a signal ended it. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<number | null> {
    const child = this.#child;
    if (child === null) return null;
    child.kill(signal);
    await child.exited;
    this.#child = null;
    this.#ready = null;
    return child.exitCode;
  }

  /** Kills it after some milliseconds, whatever it does then. */
  async killAfter(lifeMs: number): Promise<void> {
    await Bun.sleep(lifeMs);
    await this.stop("SIGKILL");
  }

  /** Starts it and kills it after some milliseconds, whether it was ready by then or not. */
  async startAndKill(afterMs: number): Promise<void> {
    const args = ["--data", this.dataDir, "--http", "127.0.0.1:0"];
    const child = Bun.spawn([...program, "proc", "start", ...args], {
      env: environment(this.#directory),
      stdio: ["ignore", "ignore", "ignore"],
    });
    await Bun.sleep(afterMs);
    child.kill("SIGKILL");
    await child.exited;
  }

  /** Ends it and starts it again. */
  async restart(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<Ready> {
    await this.stop(signal);
    return this.start();
  }

  async claim(): Promise<void> {
    const { setupCode: code } = this.ready;
    const owner = { rootPass: testRootPass, domain: "localhost", email: "owner@example.com" };
    const response = await fetch(`${this.ready.http}/sys/setup/claim`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code, ...owner }),
    });
    if (!response.ok) throw new Error(`claim: ${await response.text()}`);
    this.#token = ((await response.json()) as { token: string }).token;
  }

  /** The `fazt` command, over the control socket. */
  fazt(...args: readonly string[]): Promise<Ended> {
    return fazt(this.dataDir, args);
  }

  /** The same with `--json`: its reply. Throws with what it said when it is refused. */
  async faztJson<T>(...args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.fazt(...args, "--json");
    if (code !== 0) throw new Error(`fazt ${args.join(" ")} exited ${code}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** Starts the command and leaves it running. */
  spawnFazt(...args: readonly string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    const env = { ...environment(this.#directory), FAZT_DATA: this.dataDir };
    return Bun.spawn([...program, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  }

  /** A request to an app, or to `os`, over its host. Redirects are not followed. */
  fetch(host: string, path: string, asked: Asked = {}): Promise<Response> {
    return fetch(`${this.ready.http}${path}`, {
      redirect: "manual",
      ...asked,
      headers: { host: `${host}.localhost:${this.port}`, ...asked.headers },
    });
  }

  /** A call over HTTP with the claim's token. Throws CallRefused. */
  async call<T>(name: string, input: unknown = {}, body?: Bun.BodyInit): Promise<T> {
    const path = `/sys/${name.split(".").map(kebab).join("/")}`;
    const query = body === undefined ? "" : `?input=${encodeURIComponent(JSON.stringify(input))}`;
    const response = await this.fetch("os", path + query, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#token}` },
      body: body ?? JSON.stringify(input),
    });
    const reply = await response.json();
    if (response.ok) return reply as T;
    throw new CallRefused(response.status, (reply as { error: ErrorBody }).error);
  }

  /** The URL of an app for clients that look names up, and what curl must be told beside it. */
  url(host: string, path = "/"): string {
    return `http://${host}.localhost:${this.port}${path}`;
  }

  /** curl; every name leads to this machine. */
  curl(...args: readonly string[]): Promise<Ended> {
    const to = `::127.0.0.1:${this.port}`;
    return run(["curl", "--silent", "--show-error", "--connect-to", to, ...args]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** The first line of a stream, or null when it ends before; the rest is read and forgotten. */
function firstLine(stream: ReadableStream<Uint8Array>): Promise<string | null> {
  return new Promise((resolve) => {
    void (async () => {
      const decoder = new TextDecoder();
      let text = "";
      for await (const bytes of stream) {
        if (text.includes("\n")) continue;
        text += decoder.decode(bytes, { stream: true });
        if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
      }
      resolve(null);
    })();
  });
}

/** Starts a kernel process and claims it. */
export async function startProcess(options: ProcessOptions = {}): Promise<KernelProcess> {
  const machine = new KernelProcess(options);
  try {
    const { setupCode } = await machine.start();
    if (options.claimed !== false && setupCode !== null) await machine.claim();
    return machine;
  } catch (error) {
    await machine[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Waits until `look` answers something other than null or false; fails after `mostMs`, telling what
 * was awaited (and, by a function, what was seen last).
 */
export async function until<T>(
  what: string | (() => string),
  look: () => T | Promise<T>,
  mostMs = 20_000,
): Promise<NonNullable<T>> {
  const endMs = performance.now() + mostMs;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found as NonNullable<T>;
    if (performance.now() > endMs) {
      const told = typeof what === "string" ? what : what();
      throw new Error(`not within ${mostMs} ms: ${told}`);
    }
    await Bun.sleep(20);
  }
}
