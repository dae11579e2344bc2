/**
 * Programs to upgrade between, their releases, and a machine that begins with the first of them.
 * The programs are built once a run of a test file: three executables, some seconds each.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildVariant } from "../../ci/build.ts";
import { makeRelease, type ReleaseOptions } from "../../ci/release.ts";
import type { Ready } from "../../init/start.ts";
import { type Arch, keyFilesOf } from "../../kernel/proc/upgrade/mod.ts";
import { testRootPass } from "../kernel.ts";
import { type Ended, run, until } from "../process.ts";

/** An attempt, as `proc.slots` tells it. */
export interface Told {
  readonly outcome: string;
  readonly phase: string;
  readonly reason: string | null;
  readonly sentence: string;
  readonly tookMs: number | null;
  readonly phases: readonly { readonly phase: string; readonly at: number }[];
}

export interface View {
  readonly running: string;
  readonly place: string;
  readonly last: Told | null;
}

const pair = keyFilesOf(new Uint8Array(40).fill(9));
const stranger = keyFilesOf(new Uint8Array(40).fill(8));
export const strangeKey = stranger.secretKey;
const publicLine = (text: string) => text.split("\n")[1] ?? "";

export const versions = { first: "1.0.0", next: "1.1.0", faulty: "1.2.0" } as const;

/** Programs and releases in a directory, which is removed with it. */
export class Works implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), "fazt-upgrade-"));
  #releases = 0;

  program(version: string): string {
    return join(this.dir, version, "fazt");
  }

  async build(version: string, entry?: string): Promise<void> {
    const outfile = this.program(version);
    mkdirSync(join(outfile, ".."), { recursive: true });
    const define = { FAZT_VERSION: version, FAZT_RELEASE_KEYS: publicLine(pair.publicKey) };
    await buildVariant({ outfile, define, ...(entry !== undefined && { entry }) });
  }

  /** The three of them. */
  async buildAll(): Promise<void> {
    await this.build(versions.first);
    await this.build(versions.next);
    await this.build(versions.faulty, join(import.meta.dir, "faulty.ts"));
  }

  /** A directory with a release of a program; nothing of it is packed, which is quicker. */
  release(version: string, change: Partial<ReleaseOptions> = {}): string {
    const out = join(this.dir, `release-${this.#releases++}`);
    makeRelease({
      ...{ out, key: pair.secretKey, version, channel: "stable", level: 0 },
      arch: process.arch as Arch,
      ...{ minFrom: "0.0.0", notAfter: Date.now() + 3_600_000 },
      ingredients: [{ kind: "binary", path: this.program(version) }],
      ...change,
    });
    return out;
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

const server = (said: string) => `
import { kernel } from "fazt";
let count = 0;
const { kv } = kernel.storage;
export default {
  async fetch(request, context) {
    if (context.upgrade(request)) return undefined;
    const { pathname } = new URL(request.url);
    if (pathname === "/write") {
      const { name, value } = await request.json();
      await kv.set({ key: name, value });
      return new Response(value);
    }
    if (pathname === "/written") {
      const pairs = await kv.ls({ limit: 1000 });
      return Response.json(Object.fromEntries(pairs.map(({ key, value }) => [key, value])));
    }
    if (pathname !== "/events") return Response.json({ said: "${said}", count: ++count });
    const body = new ReadableStream({
      async start(controller) {
        for (let i = 0; ; i++) {
          controller.enqueue(new TextEncoder().encode("data: " + i + "\\n\\n"));
          await Bun.sleep(200);
        }
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  },
};
export const websocket = { open(ws) { ws.send("hello"); }, message(ws, text) { ws.send(text); } };
`;

/** A machine whose process is the program of a version; it has two apps and a site. */
export class Box implements AsyncDisposable {
  readonly works: Works;
  readonly dir: string;
  readonly dataDir: string;
  #child: Bun.Subprocess<"ignore", "pipe", "inherit"> | null = null;
  #ready: Ready | null = null;
  #port = 0;
  #tlsPort: number | null;

  constructor(works: Works, { tls = false }: { readonly tls?: boolean } = {}) {
    this.works = works;
    this.#tlsPort = tls ? 0 : null;
    this.dir = mkdtempSync(join(tmpdir(), "fazt-box-"));
    this.dataDir = join(this.dir, "data");
  }

  get ready(): Ready {
    if (this.#ready === null) throw new Error("the machine does not run");
    return this.#ready;
  }

  get port(): number {
    return this.#port;
  }

  get tlsPort(): number {
    return this.#tlsPort ?? 0;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get #env(): Record<string, string> {
    const faultFile = join(this.dir, "fault");
    return {
      PATH: process.env["PATH"] ?? "",
      HOME: this.dir,
      FAZT_DATA: this.dataDir,
      FAZT_TEST_FAULT: faultFile,
    };
  }

  /** Whether the process that was started is gone. */
  get ended(): boolean {
    return this.#child === null || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Kernels that the conductor has started, the newest last. */
  successors(): number[] {
    const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
    const ours = pids.filter((pid) => {
      try {
        const parent = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
        if (Number(parent) !== this.pid) return false;
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("upgrade-child");
      } catch {
        return false;
      }
    });
    return ours.sort((a, b) => a - b);
  }

  /** What ails the faulty program from now on. */
  fault(name: string): void {
    writeFileSync(join(this.dir, "fault"), name);
  }

  /** Starts the installed program, at the port it had. */
  async start(): Promise<void> {
    const https = this.#tlsPort === null ? "off" : `127.0.0.1:${this.#tlsPort}`;
    const at = ["--data", this.dataDir, "--http", `127.0.0.1:${this.#port}`, "--https", https];
    const command = [this.works.program(versions.first), "proc", "start", ...at, "--json"];
    const child = Bun.spawn(command, {
      env: this.#env,
      stdio: ["ignore", "pipe", "inherit"],
      cwd: this.dir,
    });
    this.#child = child;
    const reader = child.stdout.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (!text.includes("\n")) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`the machine exited ${await child.exited}`);
      text += decoder.decode(value);
    }
    // The pipe must not fill up, nor be closed: whoever writes to it goes on.
    void (async () => {
      while (!(await reader.read()).done);
    })();
    this.#ready = JSON.parse(text.slice(0, text.indexOf("\n"))) as Ready;
    this.#port = Number(new URL(this.#ready.http).port);
    if (this.#ready.https !== null) this.#tlsPort = Number(new URL(this.#ready.https).port);
  }

  async claim(): Promise<void> {
    const owner = { rootPass: testRootPass, domain: "localhost", email: "owner@example.com" };
    await fetch(`${this.ready.http}/sys/setup/claim`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code: this.ready.setupCode, ...owner }),
    });
  }

  async deployAll(): Promise<void> {
    for (const name of ["blog", "shop"]) {
      const dir = join(this.dir, name);
      mkdirSync(dir);
      writeFileSync(join(dir, "server.js"), server(name));
      const manifest = { name, server: "server.js", idle: "never" };
      writeFileSync(join(dir, "app.json"), JSON.stringify(manifest));
      await this.must("app", "deploy", dir);
      await (await this.get(name)).text();
    }
    const site = join(this.dir, "site");
    mkdirSync(site);
    writeFileSync(join(site, "index.html"), "<p>files</p>");
    await this.must("app", "deploy", site);
  }

  /** The command, in the version that was installed. */
  fazt(...args: readonly string[]): Promise<Ended> {
    const command = [this.works.program(versions.first), ...args];
    return run(command, { env: this.#env, timeout: 60_000 });
  }

  async must(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.fazt(...args);
    if (code !== 0) throw new Error(`fazt ${args.join(" ")} exited ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  async view(): Promise<View> {
    return JSON.parse(await this.must("proc", "slots", "--json")) as View;
  }

  /** Upgrades, and waits until it is over; answers the exit code and what became of it. */
  async upgrade(from: string, ...flags: readonly string[]): Promise<{ code: number; told: Told }> {
    const words = ["proc", "upgrade", "--from", from, "--trial", "5s", "--json", ...flags];
    const { code, stdout, stderr } = await this.fazt(...words);
    if (stdout === "") throw new Error(stderr);
    return { code, told: JSON.parse(stdout) as Told };
  }

  get(host: string, path = "/", init: RequestInit = {}): Promise<Response> {
    const headers = { host: `${host}.localhost:${this.#port}` };
    return fetch(`http://127.0.0.1:${this.#port}${path}`, { ...init, headers });
  }

  /** Whether everything that should answer does. */
  async whole(): Promise<boolean> {
    const answers = await Promise.all(["blog", "shop", "site"].map((name) => this.get(name)));
    await Promise.all(answers.map((answer) => answer.arrayBuffer()));
    return answers.every(({ status }) => status === 200);
  }

  /** Ends the process that was started, and waits until nobody has the data any more. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    child.kill(signal);
    await child.exited;
    const socket = join(this.dataDir, "run", "fazt.sock");
    const probe = () => fetch("http://localhost/sys/health", { unix: socket }).then(() => false);
    await until("the last kernel is gone", () => probe().catch(() => true), 60_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A claimed machine with its apps. */
export async function startBox(
  works: Works,
  options: { readonly tls?: boolean } = {},
): Promise<Box> {
  const box = new Box(works, options);
  await box.start();
  await box.claim();
  await box.deployAll();
  return box;
}
