/**
 * Deploys under load: an app is deployed again and again while wrk asks for it, through a kernel
 * in a process of its own. No request is lost; a release that is not healthy never gets one.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type KernelProcess, startProcess, until } from "../process.ts";

const deploys = 20;
const why = Bun.which("wrk") === null ? " (skipped: wrk is not installed)" : "";

interface Release {
  readonly release: string;
}

function source(machine: KernelProcess, answer: string, start = ""): string {
  const dir = machine.scratch("app");
  const server = `${start}
export default { fetch: () => new Response(${JSON.stringify(answer)}) };\n`;
  writeFileSync(join(dir, "server.js"), server);
  const manifest = { name: "app", server: "server.js", health: "/ready" };
  writeFileSync(join(dir, "app.json"), JSON.stringify(manifest));
  return dir;
}

/** Starts wrk on the app; it runs until it is told to stop, and then prints its report. */
function load(machine: KernelProcess, seconds: number) {
  const args = ["-t1", "-c16", `-d${seconds}s`, "--timeout", "10s"];
  const host = `Host: app.localhost:${machine.port}`;
  const url = `http://127.0.0.1:${machine.port}/`;
  return Bun.spawn(["wrk", ...args, "-H", host, url], { stdout: "pipe", stderr: "inherit" });
}

async function answerOf(machine: KernelProcess): Promise<string> {
  return await (await machine.fetch("app", "/")).text();
}

test.skipIf(why !== "")(`${deploys} deploys under wrk lose no request${why}`, async () => {
  await using machine = await startProcess();
  await machine.faztJson("app", "deploy", source(machine, "release 0"));
  await until("it answers", async () => (await answerOf(machine)) === "release 0");
  const wrk = load(machine, 600);
  for (let i = 1; i <= deploys; i++) {
    const made = await machine.faztJson<Release>("app", "deploy", source(machine, `release ${i}`));
    expect(made.release).toStartWith("rel_");
    expect(await answerOf(machine)).toBe(`release ${i}`);
  }
  // wrk reports when it is interrupted.
  wrk.kill("SIGINT");
  const report = await wrk.stdout.text();
  const requests = Number(/(\d+) requests in/.exec(report)?.[1]);
  expect(requests).toBeGreaterThan(1000);
  expect(report).not.toContain("Non-2xx");
  expect(report).not.toContain("Socket errors");
});

test.skipIf(why !== "")(`a release that breaks is refused under load${why}`, async () => {
  await using machine = await startProcess();
  await machine.faztJson("app", "deploy", source(machine, "good"));
  expect(await answerOf(machine)).toBe("good");
  const [before] = await machine.faztJson<Release[]>("proc", "status", "app");
  const wrk = load(machine, 600);
  for (const start of ['throw new Error("no table");', "process.exit(3);"]) {
    const { code, stderr } = await machine.fazt("app", "deploy", source(machine, "bad", start));
    expect([code, stderr.includes("ENOEXEC")]).toEqual([1, true]);
  }
  wrk.kill("SIGINT");
  const report = await wrk.stdout.text();
  expect(report).not.toContain("Non-2xx");
  expect(report).not.toContain("Socket errors");
  expect(await answerOf(machine)).toBe("good");
  const [after] = await machine.faztJson<Release[]>("proc", "status", "app");
  expect(after).toMatchObject({ release: before?.release, restarts: 0 });
});
