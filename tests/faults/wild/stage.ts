/**
 * What strangers are let loose on: a kernel in a process of its own with an app that says what it
 * was asked, and a site with files that are nobody's business.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { type KernelProcess, startProcess } from "../../process.ts";

/** Stands in everything that no stranger may ever see. */
export const secret = "wild-secret-mark";

/** What the app says of one request. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  /** One byte a character. */
  readonly body: string;
}

/** The app's answer, whose bytes are characters here. */
export const readSeen = (body: string): Seen =>
  JSON.parse(Buffer.from(body, "latin1").toString()) as Seen;

const echo = `// ${secret}
let whole = 0;
export default {
  async fetch(request) {
    if (request.headers.get("x-ask") === "how many") return Response.json(whole);
    const body = Buffer.from(await request.arrayBuffer()).toString("latin1");
    whole++;
    const { method, url } = request;
    return Response.json({ method, url, headers: [...request.headers], body });
  },
};
`;

/** The site's files, by the path that asks for them. */
export const files: Readonly<Record<string, string>> = {
  "/a.txt": "the file a",
  "/b.txt": "the file b",
  "/deep/er/c.txt": "the file c",
};

export class Stage implements AsyncDisposable {
  readonly machine: KernelProcess;
  readonly #pid: number;

  private constructor(machine: KernelProcess) {
    this.machine = machine;
    this.#pid = machine.pid;
  }

  static async open(...args: string[]): Promise<Stage> {
    const machine = await startProcess({ args });
    const app = machine.scratch("echo");
    writeFileSync(`${app}/server.ts`, echo);
    await machine.faztJson("app", "deploy", app, "--name", "echo");
    const site = machine.scratch("site");
    for (const dir of ["public/deep/er", "private"])
      mkdirSync(`${site}/${dir}`, { recursive: true });
    for (const [path, text] of Object.entries(files)) writeFileSync(`${site}/public${path}`, text);
    writeFileSync(`${site}/public/index.html`, "the front page");
    writeFileSync(`${site}/private/plan.txt`, secret);
    writeFileSync(`${site}/public/.hidden`, "a dot file");
    writeFileSync(`${site}/app.json`, JSON.stringify({ env: { NOTE: secret } }));
    await machine.faztJson("app", "deploy", site, "--name", "site");
    await machine.call("fs.write", { path: "/home/note.txt" }, secret);
    return new Stage(machine);
  }

  get port(): number {
    return this.machine.port;
  }

  /** Requests the app has read to their end. */
  async whole(): Promise<number> {
    const reply = await this.machine.fetch("echo", "/", { headers: { "x-ask": "how many" } });
    return (await reply.json()) as number;
  }

  /** Fails when the kernel or the app was ended, or the kernel speaks of a defect of its own. */
  async unharmed(): Promise<void> {
    if (this.machine.pid !== this.#pid) throw new Error("the kernel is another process");
    process.kill(this.#pid, 0);
    const asked = { app: "echo" };
    const status = await this.machine.call<{ restarts: number }[]>("proc.status", asked);
    if (status[0]?.restarts !== 0) throw new Error(`the app: ${JSON.stringify(status)}`);
    const said = await this.machine.fazt("proc", "logs", "kernel", "--level", "error");
    if (said.stdout.trim() !== "") throw new Error(`the kernel says: ${said.stdout}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
  }
}
