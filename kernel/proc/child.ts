/**
 * An app's process: connects its one socket, takes its instructions, loads the app's bundle and
 * serves it until told to finish or until the kernel is gone.
 *
 * Rules: this file and what it imports stay small, because a visitor waits for them (no zod, no
 * hono, nothing of the kernel but the wire); nothing here decides what the app may do: the
 * sandbox and the dispatcher do; the app's SQL volume is closed before any exit, because the
 * runtime would otherwise checkpoint it away from the replicator, and left as it is when the kernel
 * is gone: who closes it as the last one copies its log, which a replicator that was killed as
 * well has not read.
 */
import { EventHandlers } from "./child-event.ts";
import { createClient, type KernelClient, KernelError } from "./child-kernel.ts";
import { closeModules, closeNetwork } from "./child-network.ts";
import { type AppModule, createServing, readModule, type Serving } from "./child-serve.ts";
import { requestStreamsMax } from "./limits.ts";
import { Link } from "./stream.ts";
import { frame, type Transport } from "./wire.ts";

/** What the kernel tells a new process, in the `hello` frame. */
export interface Instructions {
  readonly app: string;
  readonly release: string;
  /** Path of the bundle, as this process sees it. */
  readonly entry: string;
  /** Path of the SQL volume's file, as this process sees it. */
  readonly volume: string;
  /** Bytes the volume may have. */
  readonly quotaBytes: number;
  readonly env: Readonly<Record<string, string>>;
}

/** The descriptor of the socket to the kernel. */
const socketFd = 3;

/** Milliseconds in which a sandbox ends that lost its kernel; more than any machine takes. */
const killedWithinMs = 10_000;

/** Runs an app's process; resolves when it is connected, and the process lives on. */
export async function runChild(): Promise<void> {
  const child = new Child();
  await Bun.connect({
    fd: socketFd,
    socket: {
      open: (socket: Transport) => child.opened(socket),
      data: (_socket: Transport, bytes: Buffer) => child.link?.feed(bytes),
      drain: () => child.link?.wire.drained(),
      close: () => child.lost(),
      error: () => child.exit(1),
    },
  } as unknown as Bun.UnixSocketOptions<undefined>);
}

class Child {
  link: Link | null = null;
  #client: KernelClient | null = null;
  #serving: Serving | null = null;
  #leaving = false;

  opened(socket: Transport): void {
    if (this.link !== null) return;
    tagConsole();
    this.link = new Link({
      side: "app",
      transport: socket,
      acceptMax: requestStreamsMax,
      accept: (stream, opened) => {
        if (this.#serving === null) throw new Error("a request before the app was ready");
        return this.#serving.accept(stream, opened);
      },
      control: (type, text) => {
        if (type === frame.hello) void this.#begin(JSON.parse(text));
        else if (type === frame.bye) void this.#leave();
        else if (type === frame.ping) this.link?.pong();
      },
      violated: (reason) => {
        console.error(`the kernel broke the protocol: ${reason}`);
        this.exit(1);
      },
    });
  }

  async #begin(instructions: Instructions): Promise<void> {
    const { link } = this;
    if (link === null) return;
    const events = new EventHandlers(instructions.app);
    const client = createClient(link, instructions, events);
    this.#client = client;
    setEnvironment(instructions.env);
    closeNetwork(client.fetch);
    this.#catchAll();
    Bun.plugin({
      name: "fazt",
      setup: (build) => {
        build.module("fazt", () => ({
          exports: { kernel: client.kernel, KernelError },
          loader: "object",
        }));
      },
    });
    try {
      await closeModules(instructions.entry);
      const loaded: AppModule = readModule(await import(instructions.entry));
      const { app, release } = instructions;
      const busy = (is: boolean) => link.hello({ busy: is });
      this.#serving = createServing(loaded, { app, release, events, busy });
      link.hello({ ready: true });
    } catch (error) {
      console.error(error);
      this.exit(1);
    }
  }

  #catchAll(): void {
    const crash = (error: unknown) => {
      console.error(error);
      this.exit(1);
    };
    process.on("uncaughtException", crash);
    process.on("unhandledRejection", crash);
    process.on("SIGTERM", () => void this.#leave());
    process.on("exit", () => this.#client?.close());
  }

  /** Lets background work finish (the kernel kills when it takes too long) and exits. */
  async #leave(): Promise<void> {
    if (this.#leaving) return;
    this.#leaving = true;
    await this.#serving?.settled();
    this.exit(0);
  }

  /** The kernel is gone. The first of a sandbox's processes cannot kill itself: the sandbox does. */
  lost(): void {
    if (this.#client?.opened === true) {
      process.kill(process.pid, "SIGKILL");
      Bun.sleepSync(killedWithinMs);
    }
    this.exit(0);
  }

  exit(code: number): void {
    this.#client?.close();
    process.exit(code);
  }
}

/** The app's environment and nothing else. */
function setEnvironment(env: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, env);
}

/**
 * Marks the level of what is printed: standard output is `info`, standard error is `error`; a
 * line of a unit separator and a letter says what the lines after it are.
 */
function tagConsole(): void {
  const { log, error } = console;
  console.warn = (...values: unknown[]) => {
    error("\u001fw");
    error(...values);
    error("\u001fe");
  };
  console.debug = (...values: unknown[]) => {
    log("\u001fd");
    log(...values);
    log("\u001fi");
  };
}
