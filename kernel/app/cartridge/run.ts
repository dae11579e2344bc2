/**
 * The kernel's side of the processes that write and read cartridges: starts them, feeds them, takes
 * what they give, and turns their last word into an errno. A stranger's file is read in the
 * sandbox: its process sees that one file, no network, and has a bounded memory; the kernel only
 * puts the bytes down. Drafts are in `run/cartridge`, emptied at boot: a kernel or a process that
 * dies leaves nothing behind for long.
 */
import { mkdirSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { type Enclose, type Reading, refusalIn, startReading } from "../../enclosed.ts";
import { isErrno, SysError } from "../../errno.ts";
import type { Machine, Timer } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { limits } from "../limits.ts";
import { cartridgeName, type Frame } from "./frame.ts";
import { decodeFrames } from "./item.ts";

export interface CartridgeProgram {
  /** The file's bytes for these frames; `volume` is the directory of the app's volume. */
  write(frames: ReadableStream<Uint8Array>, volume: string): Promise<ReadableStream<Uint8Array>>;
  /** The frames of a file; throws what is wrong with it, at any point before `end`. */
  read(file: ReadableStream<Uint8Array>): AsyncGenerator<Frame>;
}

interface Parts {
  readonly machine: Machine;
  readonly storage: Storage;
  /** The command line of this very program, without its words. */
  readonly program: readonly string[];
  readonly enclose: Enclose;
}

interface Writing {
  readonly stdout: ReadableStream<Uint8Array>;
  /** Throws when it failed, with what it said. */
  ended(): Promise<void>;
  kill(): void;
}

const diedOfIt = (said: string, end: string): SysError =>
  refusalIn(said) ??
  new SysError("EBADMSG", `cannot read the cartridge: its process died of it (${end})`, {
    hint: "nothing was imported; export it again, or use another copy",
  });

/** The processes, for one kernel. */
export function createCartridgeProgram({
  machine,
  storage,
  program,
  enclose,
}: Parts): CartridgeProgram {
  const drafts = join(storage.status().dataDir, "run", "cartridge");
  rmSync(drafts, { recursive: true, force: true });
  const draft = (): string => {
    mkdirSync(drafts, { recursive: true, mode: 0o700 });
    return join(drafts, machine.id("cart"));
  };
  return {
    async write(frames, volume) {
      return await streamed(startWriting({ program, draft: draft(), frames, volume }));
    },
    async *read(file) {
      const dir = draft();
      let reading: Reading | null = null;
      try {
        mkdirSync(dir, { mode: 0o700 });
        await receive(withRoom(file, storage), join(dir, cartridgeName));
        reading = startReading(enclose(dir, "cartridge-reader"));
        yield* framesOf(reading, machine);
      } finally {
        await reading?.kill();
        rmSync(dir, { recursive: true, force: true });
      }
    },
  };
}

interface WritingOptions {
  readonly program: readonly string[];
  readonly draft: string;
  readonly frames: ReadableStream<Uint8Array>;
  readonly volume: string;
}

function startWriting({ program, draft, frames, volume }: WritingOptions): Writing {
  const child = Bun.spawn([...program, "cartridge-child", draft, volume], {
    stdin: frames,
    stdout: "pipe",
    stderr: "pipe",
    env: {},
    cwd: "/",
  });
  const said = child.stderr.text();
  return {
    stdout: child.stdout,
    async ended() {
      if ((await child.exited) === 0) return;
      throw diedOfIt(await said, String(child.signalCode ?? child.exitCode));
    },
    kill: () => {
      child.kill("SIGKILL");
      // Killed, it cleans nothing up.
      void child.exited.then(() => {
        for (const end of ["", "-journal", ".volume"]) rmSync(draft + end, { force: true });
      });
    },
  };
}

/** What fails before the first byte is refused with its errno; what fails later breaks the stream. */
async function streamed(writing: Writing): Promise<ReadableStream<Uint8Array>> {
  const pieces = writing.stdout[Symbol.asyncIterator]();
  const next = async (): Promise<Uint8Array | null> => {
    const piece = await pieces.next();
    if (piece.done !== true) return piece.value;
    await writing.ended();
    return null;
  };
  let waiting = await next();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = waiting ?? (await next());
        waiting = null;
        if (piece === null) controller.close();
        else controller.enqueue(piece);
      },
      cancel: () => writing.kill(),
    },
    { highWaterMark: 0 },
  );
}

/** The same bytes while the disk is below its mark: what strangers send never fills it. ENOSPC. */
async function* withRoom(
  bytes: ReadableStream<Uint8Array>,
  storage: Pick<Storage, "writable">,
): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    if (!storage.writable()) {
      throw new SysError("ENOSPC", "cannot receive the cartridge: the disk is nearly full", {
        hint: "free space for the whole cartridge, then try again",
      });
    }
    yield piece;
  }
}

/** Puts the stranger's bytes down. ENOSPC, EIO, and what the stream fails with. */
async function receive(bytes: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const file = await open(path, "wx", 0o600).catch(cannotReceive);
  try {
    for await (const piece of bytes) await file.writeFile(piece).catch(cannotReceive);
  } finally {
    await file.close();
  }
}

function cannotReceive(cause: unknown): never {
  const raw = (cause as { code?: unknown }).code;
  const code = isErrno(raw) ? raw : "EIO";
  throw new SysError(code, "cannot receive the cartridge: its file could not be written", {
    hint: code === "ENOSPC" ? "free space for the whole cartridge, then try again" : "try again",
    cause,
  });
}

/** The process's frames; one that says nothing for long is ended. */
async function* framesOf(reading: Reading, machine: Machine): AsyncGenerator<Frame> {
  let late = false;
  let timer: Timer | null = null;
  const watched = async function* (): AsyncGenerator<Uint8Array> {
    const pieces = reading.stdout[Symbol.asyncIterator]();
    for (;;) {
      timer = machine.after(limits.cartridgeStallMs, () => {
        late = true;
        void reading.kill();
      });
      const next = await pieces.next().finally(() => timer?.cancel());
      if (next.done === true) return;
      yield next.value;
    }
  };
  const ended = () => reading.ended((said, end) => diedOfIt(said, late ? "it took too long" : end));
  try {
    for await (const frame of decodeFrames(watched())) {
      // The last frame is believed only when the process ended well.
      if (frame.kind === "end") await ended();
      yield frame;
    }
  } catch (error) {
    // Frames that stop too early are the process's failure: it said why.
    if (error instanceof SysError && error.code === "EBADMSG") await ended();
    throw error;
  }
}
