/**
 * A machine of 512 MB runs apps with the whole sandbox: memory, processors and processes are held by
 * control groups. An app that takes memory without end is ended at its limit and is told so with its
 * peak; one that takes the processors with five threads leaves a neighbour with one its part.
 */
import { expect, test } from "bun:test";
import { until } from "../process.ts";
import { call, claim, deploy, visit } from "./owner.ts";
import { bootVm } from "./vm.ts";

/** Asked to work, it computes for so long, and says which part of a processor it had. */
const neighbour = `export default {
  fetch(request) {
    const ms = Number(new URL(request.url).searchParams.get("work"));
    if (ms === 0) return new Response("here");
    const begun = performance.now();
    const before = process.cpuUsage();
    while (performance.now() - begun < ms);
    const { user, system } = process.cpuUsage(before);
    return Response.json((user + system) / 1000 / (performance.now() - begun));
  },
};
`;
const spinner = `const burn = URL.createObjectURL(new Blob(["while (true) {}"]));
export default {
  fetch() {
    for (let i = 0; i < 5; i++) new Worker(burn);
    return new Response("spins");
  },
};
`;
const greedy = `const kept = [];
export default {
  fetch(request) {
    if (new URL(request.url).pathname === "/") return new Response("here");
    for (;;) kept.push(new Uint8Array(4 * 1024 * 1024).fill(1));
  },
};
`;

/**
 * In the machine: waits until one of three apps gives way to everybody else, and tells what stands in
 * the files of all control groups then.
 */
const probe = `
const { existsSync, readFileSync, readdirSync } = await import("node:fs");
const top = "/sys/fs/cgroup/system.slice/fazt.service/";
const names = ["cpu.weight", "cpu.max", "cpu.idle", "io.weight", "memory.max", "memory.oom.group", "pids.max"];
const settings = (dir) => Object.fromEntries(names.filter((name) => existsSync(dir + name))
  .map((name) => [name, readFileSync(dir + name, "utf8").trim()]));
for (let tries = 0; tries < 1200; tries++) {
  await Bun.sleep(200);
  try {
    const run = readdirSync(top).find((name) => name.startsWith("fazt-"));
    const dirs = readdirSync(top + run).filter((name) => name.startsWith("app-"));
    const apps = dirs.map((name) => settings(top + run + "/" + name + "/"));
    if (apps.length < 3 || !apps.some((app) => app["cpu.idle"] === "1")) continue;
    console.log(JSON.stringify({ kernel: settings(top + "kernel/"), apps }));
    break;
  } catch {}
}`;

interface Groups {
  readonly kernel: Readonly<Record<string, string>>;
  readonly apps: readonly Readonly<Record<string, string>>[];
}

interface Status {
  readonly lacks: readonly string[];
}

test("512 MB run three apps; one that takes all memory, or all processors, is held", async () => {
  await using vm = await bootVm({ memoryMb: 512, direct: true, probe });
  expect(await vm.up(300_000)).toMatchObject({ status: "ok" });
  const token = await claim(vm);
  for (const name of ["one", "two"]) await deploy(vm, token, { name, server: neighbour });
  await deploy(vm, token, { name: "greedy", server: greedy });
  for (const app of ["one", "two", "greedy"]) {
    expect(await (await visit(vm, app)).text()).toBe("here");
  }
  const health = await (await fetch(`${vm.http}/sys/health`)).json();
  expect(health).toMatchObject({ isolation: "full" });

  const end = await visit(vm, "greedy", "/all");
  expect(end.status).toBe(502);
  for (const app of ["one", "two"]) expect(await (await visit(vm, app)).text()).toBe("here");
  const list = await call(vm, "/sys/proc/status", { token });
  // Nothing of the sandbox is missing here.
  const told = (await list.json()) as Status[];
  expect(told.flatMap(({ lacks }) => lacks)).toEqual([]);
  // By its log: it may have been started again by now.
  // The visitor is told when the socket is gone, the log when the process is.
  const reason = /out of memory: it used \d+ MB and may use 1\d\d MB/;
  const log = () => call(vm, "/sys/proc/logs", { token, input: { app: "greedy" } });
  await until("the reason", async () => reason.test(await (await log()).text()), 60_000);

  await deploy(vm, token, { name: "spin", server: spinner });
  expect(await (await visit(vm, "spin")).text()).toBe("spins");
  const { kernel, apps } = JSON.parse(await vm.probed()) as Groups;
  expect(kernel).toMatchObject({ "cpu.weight": "1000" });
  expect(apps.length).toBeGreaterThanOrEqual(3);
  for (const app of apps) {
    expect(app).toMatchObject({ "cpu.max": "180000 100000", "memory.oom.group": "1" });
    expect(app).toMatchObject({ "memory.max": String(128 * 2 ** 20), "pids.max": "144" });
  }
  // Two processors, five threads against one: by threads it would have less than a third of one,
  // by groups it has over half, and the best of three is not what else the host did meanwhile.
  const parts: number[] = [];
  while (parts.length < 3) {
    parts.push((await (await visit(vm, "one", "/?work=3000")).json()) as number);
  }
  expect(Math.max(...parts)).toBeGreaterThan(0.42);
}, 600_000);
