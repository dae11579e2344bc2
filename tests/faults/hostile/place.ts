/**
 * Where hostile apps run: a kernel in a process of its own, a well-behaved neighbour on it, and a
 * watch that asks the neighbour and the OS host all the time.
 *
 *     await using place = await openPlace();
 *     const watch = place.watch();
 *     await place.deploy("spin");
 *     watch.end(); // throws when somebody else was not answered
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type KernelProcess, startProcess, until } from "../../process.ts";

const fixtures = fileURLToPath(new URL("fixtures/", import.meta.url));

/** The longest anybody else may wait while a deed goes on, milliseconds: a bound for any machine. */
const stallMsMax = 5_000;
/** Between two questions of the watch, milliseconds. */
const askEveryMs = 25;

/** What the owner is told of an app's process. */
export interface Status {
  readonly state: string;
  readonly pid: number | null;
  readonly reason: string | null;
  readonly restarts: number;
}

interface LogLine {
  readonly level: string;
  readonly text: string;
}

/** What an app was asked for and what came back. */
export interface Reply {
  readonly status: number;
  readonly text: string;
}

export interface Watch {
  /** Ends it; fails when somebody was not answered, or late. */
  end(): Promise<void>;
}

export interface AppSource {
  /** The fixture, where the app has another name. */
  readonly from?: string;
  /** More files, by their path in the app. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
  readonly manifest?: object;
}

export class Place implements AsyncDisposable {
  readonly machine: KernelProcess;

  constructor(machine: KernelProcess) {
    this.machine = machine;
  }

  /** A folder with the app of a fixture. */
  folder(name: string, { from = name, files = {}, manifest = {} }: AppSource = {}): string {
    const dir = this.machine.scratch(name);
    for (const file of [`${from}.js`, "attempt.js", "raw.js"]) {
      copyFileSync(join(fixtures, file), join(dir, file));
    }
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), content);
    }
    const app = { name, server: `${from}.js`, ...manifest };
    writeFileSync(join(dir, "app.json"), JSON.stringify(app));
    return dir;
  }

  /** Deploys the app of a fixture, as a person does. */
  async deploy(name: string, source: AppSource = {}): Promise<void> {
    await this.machine.faztJson("app", "deploy", this.folder(name, source));
  }

  /** Asks an app. A client that gives up says status 0. */
  async ask(app: string, path: string, mostMs = 60_000): Promise<Reply> {
    try {
      const signal = AbortSignal.timeout(mostMs);
      const response = await this.machine.fetch(app, path, { signal });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      return { status: 0, text: String(error) };
    }
  }

  async status(app: string): Promise<Status> {
    const [status] = await this.machine.call<Status[]>("proc.status", { app });
    if (status === undefined) throw new Error(`no status of ${app}`);
    return status;
  }

  /** The lines of an app's log, oldest first. */
  async log(app: string, limit = 1000): Promise<LogLine[]> {
    const response = await this.machine.fetch("os", "/sys/proc/logs", {
      method: "POST",
      headers: { authorization: `Bearer ${this.machine.token}` },
      body: JSON.stringify({ app, limit }),
    });
    const lines = (await response.text()).split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line));
  }

  /** Waits until the owner is told, in the reason of the status or in the log; answers it. */
  async told(app: string, what: (text: string) => boolean): Promise<string> {
    return until(`the owner of ${app} is told: ${what}`, async () => {
      const { reason } = await this.status(app);
      if (reason !== null && what(reason)) return reason;
      return (await this.log(app)).find(({ text }) => what(text))?.text ?? null;
    });
  }

  /** Waits until the neighbour has heard an event with this payload. */
  async heard(payload: string): Promise<void> {
    await until("the neighbour hears", async () => {
      return (await this.ask("neighbour", "/heard")).text.includes(payload);
    });
  }

  /** Asks the neighbour and the OS host again and again. */
  watch(): Watch {
    const troubles: string[] = [];
    let over = false;
    const follow = async (host: string, path: string, good: (reply: Reply) => boolean) => {
      while (!over) {
        const at = performance.now();
        const reply = await this.ask(host, path, stallMsMax);
        const ms = Math.round(performance.now() - at);
        if (!good(reply)) troubles.push(`${host} after ${ms} ms: ${reply.status} ${reply.text}`);
        await Bun.sleep(askEveryMs);
      }
    };
    const both = Promise.all([
      follow("neighbour", "/", ({ status, text }) => status === 200 && text === "well"),
      follow("os", "/sys/health", ({ status }) => status === 200),
    ]);
    return {
      end: async () => {
        over = true;
        await both;
        if (troubles.length > 0) throw new Error(`others noticed: ${troubles.join("; ")}`);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
  }
}

/** Starts a kernel with the neighbour on it. */
export async function openPlace(): Promise<Place> {
  const place = new Place(await startProcess());
  try {
    await place.deploy("neighbour");
    return place;
  } catch (error) {
    await place[Symbol.asyncDispose]();
    throw error;
  }
}
