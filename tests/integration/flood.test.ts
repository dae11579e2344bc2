/**
 * Strangers flood the login, from an address each and under a name each, and an app beside it: the
 * OS shell and the login answer their owner all the same.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { testRootPass } from "../kernel.ts";
import { type KernelProcess, run, startProcess, until } from "../process.ts";

const tries = 300;
const rounds = 12;

let machine: KernelProcess;
beforeAll(async () => {
  machine = await startProcess();
  const dir = machine.scratch("app");
  writeFileSync(join(dir, "server.ts"), 'export default { fetch: () => new Response("hello") };');
  await machine.faztJson("app", "deploy", dir, "--name", "hello");
}, 60_000);
afterAll(() => machine[Symbol.asyncDispose]());

/** Many strangers' tries as curl reads them: loopback has addresses enough, one for each. */
function floodFile(): string {
  const url = `http://127.0.0.1:${machine.port}/sys/security/login`;
  const entries = Array.from({ length: tries }, (_, i) => {
    // Every tenth knows the owner's name: the account is slowed as well.
    const user = i % 10 === 0 ? "root" : `stranger-${i}`;
    const data = JSON.stringify({ user, password: `kettle moss violin ${i}` });
    return [
      `url = "${url}"`,
      'header = "Host: os.localhost"',
      'header = "Content-Type: application/json"',
      `data = ${JSON.stringify(data)}`,
      `interface = "127.7.${1 + (i >> 7)}.${1 + (i & 127)}"`,
      'output = "/dev/null"',
      'write-out = "%{http_code}\\n"',
    ].join("\n");
  });
  const path = join(machine.scratch("flood"), "login.txt");
  writeFileSync(path, entries.join("\nnext\n"));
  return path;
}

/** Tries again and again until it is told to stop; counts the answers by status. */
function flood(path: string) {
  const seen = new Map<string, number>();
  const stop = new AbortController();
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const args = ["--silent", "--parallel", "--parallel-max", "40", "--config", path];
      const child = Bun.spawn(["curl", ...args], { stdout: "pipe", stderr: "ignore" });
      const kill = () => child.kill();
      stop.signal.addEventListener("abort", kill);
      for (const status of (await child.stdout.text()).split("\n")) {
        seen.set(status, (seen.get(status) ?? 0) + 1);
      }
      stop.signal.removeEventListener("abort", kill);
    }
  };
  const running = [run(), run()];
  return {
    count: (status: string) => seen.get(status) ?? 0,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all(running);
    },
  };
}

/** Whether a stranger, at an address nobody had before, is told that the owner's account is slowed. */
async function isSlowed(at: number): Promise<boolean> {
  const words = ["--silent", "--interface", `127.9.${1 + (at >> 7)}.${1 + (at & 127)}`];
  const body = JSON.stringify({ user: "root", password: `kettle moss violin ${at}` });
  const headers = ["--header", "Host: os.localhost", "--header", "Content-Type: application/json"];
  const url = `http://127.0.0.1:${machine.port}/sys/security/login`;
  const { stdout } = await run(["curl", ...words, ...headers, "--data", body, url]);
  return stdout.includes("too many failed logins for this account");
}

const login = () =>
  machine.fetch("os", "/sys/security/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ password: testRootPass }),
  });

test("the shell and the login answer while strangers flood the login and an app", async () => {
  // The owner has been here: their address is known to the account.
  expect((await login()).status).toBe(200);
  const load = ["wrk", "-t1", "-c64", "-d120s", "-H", "Host: hello.localhost"];
  const app = Bun.spawn([...load, `http://127.0.0.1:${machine.port}/`], { stdout: "ignore" });
  try {
    await using strangers = flood(floodFile());
    const sentAway = () => strangers.count("429") > 0;
    await until("more tries than are judged", sentAway, 60_000);
    let tries = 0;
    await until("the account is slowed", () => isSlowed(tries++), 60_000);
    expect((await login()).status).toBe(200);
    const answers: string[] = [];
    for (let i = 0; i < rounds; i++) {
      const shell = await machine.fetch("os", "/");
      const { status } = await login();
      answers.push(`${shell.status} ${status}`);
      expect(await shell.text()).toContain("<title>fazt");
    }
    expect(answers).toEqual(Array.from({ length: rounds }, () => "200 200"));
    // Nobody else has come in.
    expect(strangers.count("200")).toBe(0);
  } finally {
    app.kill();
    await app.exited;
  }
}, 180_000);
