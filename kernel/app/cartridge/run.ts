/**
 * The kernel's side of the process that reads and writes cartridges: starts it, feeds it, takes
 * what it gives, and turns its last word into an errno. Drafts are in `run/cartridge`, emptied at
 * boot: a kernel or a process that dies leaves nothing behind for long.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Errno, isErrno, SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { decodeFrames, type Frame } from "./item.ts";

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
}

interface Running {
  readonly stdout: ReadableStream<Uint8Array>;
  /** Throws when it failed, with what it said. */
  ended(): Promise<void>;
  kill(): void;
}

function refusalIn(text: string, exit: string): SysError {
  try {
    const { code, message, hint } = JSON.parse(text) as Record<string, unknown>;
    if (isErrno(code)) {
      return new SysError(code as Errno, String(message), typeof hint === "string" ? { hint } : {});
    }
  } catch {
    // A crash of the runtime speaks no JSON; it is told by its exit.
  }
  return new SysError("EBADMSG", `cannot read the cartridge: its process died of it (${exit})`);
}

/** The process, for one kernel. */
export function createCartridgeProgram({ machine, storage, program }: Parts): CartridgeProgram {
  const drafts = join(storage.status().dataDir, "run", "cartridge");
  rmSync(drafts, { recursive: true, force: true });

  const start = (verb: "read" | "write", input: ReadableStream<Uint8Array>, rest: string[]) => {
    mkdirSync(drafts, { recursive: true, mode: 0o700 });
    const draft = join(drafts, `${machine.id("cart")}.db`);
    const child = Bun.spawn([...program, "cartridge-child", verb, draft, ...rest], {
      stdin: input,
      stdout: "pipe",
      stderr: "pipe",
      env: {},
      cwd: drafts,
    });
    const said = child.stderr.text();
    const running: Running = {
      stdout: child.stdout,
      async ended() {
        if ((await child.exited) === 0) return;
        throw refusalIn(await said, String(child.signalCode ?? child.exitCode));
      },
      kill: () => {
        child.kill("SIGKILL");
        // Killed, it cleans nothing up.
        void child.exited.then(() => {
          for (const end of ["", "-journal", ".volume"]) rmSync(draft + end, { force: true });
        });
      },
    };
    return running;
  };

  return {
    async write(frames, volume) {
      const running = start("write", frames, [volume]);
      const pieces = running.stdout[Symbol.asyncIterator]();
      const next = async (): Promise<Uint8Array | null> => {
        const piece = await pieces.next();
        if (piece.done !== true) return piece.value;
        await running.ended();
        return null;
      };
      // What fails before the first byte is refused with its errno.
      let waiting = await next();
      return new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            const piece = waiting ?? (await next());
            waiting = null;
            if (piece === null) controller.close();
            else controller.enqueue(piece);
          },
          cancel: () => running.kill(),
        },
        { highWaterMark: 0 },
      );
    },

    async *read(file) {
      const running = start("read", file, []);
      try {
        for await (const frame of decodeFrames(running.stdout)) {
          // The last frame is believed only when the process ended well.
          if (frame.kind === "end") await running.ended();
          yield frame;
        }
      } catch (error) {
        // Frames that stop too early are the process's failure: it said why.
        if (error instanceof SysError && error.code === "EBADMSG") await running.ended();
        throw error;
      } finally {
        running.kill();
      }
    },
  };
}
