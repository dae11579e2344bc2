/**
 * What a durable write from another process costs where there is nothing of ours: a bare process
 * sends as many bytes as a `kv.set` over a Unix socket, this one makes one transaction of its own and
 * sends as many bytes as its reply. Two wake-ups and one fsync: the floor under one caller.
 */
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { fixture } from "./fixture.ts";
import { runProgram } from "./process.ts";

/** Bytes of the reply's frame. */
const replyBytes = 32;

/** Writes per second of one caller in a process of its own, for so long. */
export async function echoedWrites(
  bench: Bench,
  write: () => void,
  roundMs: number,
): Promise<number> {
  const path = join(bench.directory("echo"), "socket");
  const reply = new Uint8Array(replyBytes);
  const server = Bun.listen({
    unix: path,
    socket: {
      data(socket) {
        write();
        socket.write(reply);
      },
    },
  });
  try {
    const script = join(fixture("echo"), "caller.js");
    return Number(await runProgram([process.execPath, script, path, String(roundMs)]));
  } finally {
    server.stop(true);
  }
}
