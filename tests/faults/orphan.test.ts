/**
 * The kernel is killed and started again with apps running, starting and being killed: of an
 * earlier kernel's apps no process is left, and everything answers again.
 */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { realMachine } from "../../kernel/machine.ts";
import { type KernelProcess, startProcess, until } from "../process.ts";

const rounds = 50;
const apps = ["one", "two", "three"];

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // It is gone, or not ours to read.
    return "";
  }
}

/** What a process was started with; of one without, such as a zombie, its name. */
const words = (pid: string): string =>
  read(`/proc/${pid}/cmdline`).replaceAll("\0", " ") || read(`/proc/${pid}/comm`);

/**
 * Processes that were started with this directory, or see a part of it as something of their own
 * (the root of a mount, proc_pid_mountinfo(5)): somebody else's copy of all mounts is no part.
 */
function processesOf(dataDir: string): string[] {
  const unique = dataDir.slice(dataDir.indexOf("fazt-process-"));
  const bound = (line: string) => line.split(" ")[3]?.includes(unique) === true;
  const known = (pid: string) =>
    read(`/proc/${pid}/cmdline`).includes(dataDir) ||
    read(`/proc/${pid}/mountinfo`).split("\n").some(bound);
  return readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name) && known(name))
    .map((pid) => `${pid}: ${words(pid)}`);
}

/** Waits until there is none; says which are left when that takes longer than on any machine. */
async function noneLeft(dataDir: string): Promise<void> {
  let left: string[] = [];
  const gone = until("no process is left", () => {
    left = processesOf(dataDir);
    return left.length === 0;
  });
  await gone.catch((error: Error) => {
    throw new Error(`${error.message}: ${left.join("; ")}`);
  });
}

async function deployAll(machine: KernelProcess): Promise<void> {
  for (const name of apps) {
    const dir = machine.scratch(name);
    const server = `export default () => new Response(${JSON.stringify(name)});\n`;
    writeFileSync(join(dir, "server.js"), server);
    writeFileSync(join(dir, "app.json"), JSON.stringify({ name, server: "server.js" }));
    await machine.faztJson("app", "deploy", dir);
  }
}

test(`${rounds} kills of the kernel leave no process of an app`, async () => {
  await using machine = await startProcess();
  await deployAll(machine);
  expect(processesOf(machine.dataDir).length).toBeGreaterThan(apps.length);
  for (let round = 0; round < rounds; round++) {
    const asked = apps.map((name) => machine.fetch(name, "/").then((reply) => reply.text()));
    const over = Promise.allSettled(asked);
    // Every other time they all run; else the kernel dies while they start, at another moment.
    if (round % 2 === 0) expect(await Promise.all(asked)).toEqual(apps);
    else await new Promise<void>((resolve) => realMachine().after(round, resolve));
    await machine.stop("SIGKILL");
    await over;
    await noneLeft(machine.dataDir);
    await machine.start();
  }
  const last = await Promise.all(apps.map((name) => machine.fetch(name, "/")));
  expect(last.map(({ status }) => status)).toEqual([200, 200, 200]);
  await machine.stop();
  expect(processesOf(machine.dataDir)).toEqual([]);
  // A loaded machine needs a second and a half for a round.
}, 300_000);
