/** Streams on which nothing is said for long: the control socket keeps them open. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { program, startProcess } from "../process.ts";

/** Awaits that the runtime's own listener gives a silent answer up: its patience, on this machine. */
async function patienceOver(path: string): Promise<void> {
  const server = Bun.serve({ unix: path, fetch: () => new Response(new ReadableStream({})) });
  const given = await fetch("http://silent/", { unix: path, timeout: false })
    .then((response) => response.text())
    .catch((error: Error) => error);
  expect(given).toBeInstanceOf(Error);
  await server.stop(true);
}

test("a log that is followed in silence is still followed when something is said", async () => {
  await using machine = await startProcess();
  const words = ["proc", "logs", "access", "-f", "--data", machine.dataDir];
  const follower = Bun.spawn([...program, ...words], { stdout: "pipe", stderr: "inherit" });
  try {
    await patienceOver(join(machine.scratch("silent"), "sock"));
    expect(follower.exitCode).toBeNull();
    await fetch(new URL("/nobody-has-this", machine.ready.http));
    let said = "";
    for await (const piece of follower.stdout) {
      said += new TextDecoder().decode(piece);
      if (said.includes("/nobody-has-this")) break;
    }
    expect(said).toContain("/nobody-has-this");
  } finally {
    follower.kill();
    await follower.exited;
  }
}, 60_000);
