/**
 * The machine's modes on a whole kernel: what each takes away, who notices, and the way back. What
 * is measured of memory is given here, but for the last test, which fills a control group.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createOs } from "../../init/os.ts";
import { type Machine, realMachine } from "../../kernel/machine.ts";
import type { Measures } from "../../kernel/proc/mode/mod.ts";
import { createSys } from "../../kernel/syscall/mod.ts";
import { deployed, okServer } from "../deployed.ts";
import { mayMount, smallDisk } from "../disk.ts";
import { noise } from "../fs.ts";
import { testKernel } from "../kernel.ts";
import { startProcess, until } from "../process.ts";

const well: Measures = { memoryFreeShare: 0.7, stallPercent: 0, kernelBytes: 1 };

/** A kernel whose memory and clock the test holds, listening on a port of its own. */
async function heldKernel() {
  let measured = well;
  let offsetMs = 0;
  const real = realMachine();
  const machine: Machine = { ...real, monotonicMs: () => real.monotonicMs() + offsetMs };
  const k = await testKernel({ machine, measure: () => measured });
  const { port } = k.kernel.net.listen("127.0.0.1:0", createOs(createSys(k), null));
  return {
    k,
    measure: (some: Partial<Measures>) => {
      measured = { ...well, ...some };
      return k.kernel.mode.look();
    },
    pass: (ms: number) => {
      offsetMs += ms;
      return k.kernel.mode.look();
    },
    get: (host: string, path = "/") =>
      fetch(`http://127.0.0.1:${port}${path}`, { headers: { host: `${host}.localhost` } }),
    [Symbol.asyncDispose]: () => k[Symbol.asyncDispose](),
  };
}

const seen = async (response: Response) => ({
  status: response.status,
  body: (await response.json()) as object,
});

test("short of memory: caches go, then apps, then nothing is lost on the way back", async () => {
  await using held = await heldKernel();
  const { k, get, measure, pass } = held;
  await deployed(k, "site", { files: { "public/index.html": "home" } });
  await deployed(k, "api", { files: { "server.js": okServer }, manifest: { server: "server.js" } });
  expect(await (await get("site")).text()).toBe("home");
  expect(await (await get("api")).text()).toBe("ok");
  expect(k.kernel.fs.cacheBytes()).toBeGreaterThan(0);
  expect(await seen(await get("os", "/sys/health"))).toMatchObject({
    status: 200,
    body: { status: "ok", mode: "normal" },
  });

  measure({ memoryFreeShare: 0.08 });
  expect(k.kernel.fs.cacheBytes()).toBe(0);
  expect(await (await get("site")).text()).toBe("home");
  expect(k.kernel.fs.cacheBytes()).toBe(0);
  expect(await seen(await get("os", "/sys/health"))).toMatchObject({
    status: 200,
    body: { status: "degraded", mode: "degraded" },
  });

  measure({ memoryFreeShare: 0.02 });
  for (const host of ["site", "api"]) {
    const answer = await get(host);
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "60"]);
    expect(await answer.text()).toContain("short of memory");
  }
  expect(await seen(await get("os", "/sys/health"))).toMatchObject({
    status: 503,
    body: { status: "cockpit-only" },
  });
  expect((await get("os")).status).toBe(200);
  expect(await k.call("storage.status")).toMatchObject({
    mode: "cockpit-only",
    reason: "2.0 % of memory is left",
  });
  const api = () => k.kernel.proc.status(k.kernel.app.get("api"));
  await until("the app sleeps", () => api().state === "sleeping");
  expect(api().reason).toContain("memory is short");
  await expect(k.call("proc.startApp", { app: "api" })).rejects.toMatchObject({ code: "EAGAIN" });

  measure({});
  expect((await get("api")).status).toBe(503);
  pass(60_000);
  expect(await k.call("proc.mode")).toMatchObject({ mode: "normal", reason: null });
  expect(await (await get("api")).text()).toBe("ok");
  expect(await (await get("site")).text()).toBe("home");
  expect(k.kernel.fs.cacheBytes()).toBeGreaterThan(0);
  const told = k.kernel.storage.logs.query({ app: "kernel", grep: "mode " });
  expect(told.map(({ text }) => text)).toEqual([
    "mode normal → degraded: 8.0 % of memory is left",
    "mode degraded → cockpit-only: 2.0 % of memory is left",
    "mode cockpit-only → normal: what was short is there again",
  ]);
});

test("when apps asleep do not help, the kernel asks to be started afresh", async () => {
  await using held = await heldKernel();
  const reasons: string[] = [];
  held.k.kernel.mode.onEmergency((reason) => reasons.push(reason));
  held.measure({ memoryFreeShare: 0.01 });
  held.pass(19_000);
  expect(reasons).toEqual([]);
  held.pass(2_000);
  expect(reasons).toEqual(["1.0 % of memory is left, and apps asleep did not help"]);
});

const why = mayMount ? "" : " (skipped: no right to mount a tmpfs)";

test.skipIf(!mayMount)(
  `a disk at its mark: reads go on, and its owner makes room${why}`,
  async () => {
    using disk = smallDisk(48);
    const storageLimits = { diskFiguresMs: 0, ballastBytes: 0 };
    await using k = await testKernel({ dataDir: join(disk.path, "data"), storageLimits });
    const put = (n: number) =>
      k.call(
        "fs.write",
        { path: `/home/${n}` },
        { body: new Blob([noise(2_000_000, n)]).stream() },
      );
    let n = 0;
    const full = async () => {
      for (; n < 40; n++) await put(n);
    };
    await expect(full()).rejects.toMatchObject({ code: "ENOSPC" });
    expect(k.kernel.mode.now().mode).toBe("read-only");
    expect(n).toBeGreaterThan(10);
    expect(await k.call<object>("fs.stat", { path: "/home/0" })).toMatchObject({
      sizeBytes: 2_000_000,
    });
    const set = k.call("storage.kv.set", { app: "x", key: "a", value: 1 });
    await expect(set).rejects.toMatchObject({ code: expect.stringMatching(/ENOENT|ENOSPC/) });

    for (let gone = 0; gone < 6; gone++) await k.call("fs.rm", { path: `/home/${gone}` });
    const freed = await k.call<{ name: string; bytes: number }[]>("storage.gc");
    expect(freed.find(({ name }) => name === "pages")?.bytes).toBeGreaterThan(8_000_000);
    await put(100);
    expect(k.kernel.mode.now().mode).toBe("normal");
    expect(await k.call<object>("storage.check")).toMatchObject({ ok: true });
  },
);

const memoryGroups = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].find((path) =>
  ["memory.limit_in_bytes", "cgroup.subtree_control"].some((name) => existsSync(join(path, name))),
);
const limitOf = (group: string) =>
  ["memory.limit_in_bytes", "memory.max"].map((name) => join(group, name)).find(existsSync);

/** A control group of its own, whose memory may be bounded; null where that may not be. */
function smallGroup(bytes: number): ({ readonly path: string } & Disposable) | null {
  if (memoryGroups === undefined) return null;
  const path = join(memoryGroups, `fazt-test-${process.pid}`);
  try {
    mkdirSync(path);
    const limit = limitOf(path);
    if (limit !== undefined) writeFileSync(limit, String(bytes));
    if (limit !== undefined) return { path, [Symbol.dispose]: () => rmdirSync(path) };
    rmdirSync(path);
  } catch {
    // Not root, or groups that are someone else's.
  }
  return null;
}

const mayBound = (() => {
  using group = smallGroup(1 << 30);
  return group !== null;
})();

test.skipIf(!mayBound)(
  `a control group that fills is noticed, and so is its emptying${mayBound ? "" : " (skipped)"}`,
  async () => {
    using group = smallGroup(600 * 1_048_576);
    if (group === null) throw new Error("made a moment ago");
    await using machine = await startProcess();
    writeFileSync(join(group.path, "cgroup.procs"), String(machine.pid));
    const status = async () =>
      ((await (await machine.fetch("os", "/sys/health")).json()) as { status: string }).status;
    const hold = "const held = new Uint8Array(560 * 1048576).fill(1); setInterval(() => held, 1e6)";
    // In the group before it takes anything: what it has by then counts elsewhere.
    const enter = `echo $$ > ${group.path}/cgroup.procs; exec "$@"`;
    const hog = Bun.spawn(["sh", "-c", enter, "sh", process.execPath, "-e", hold], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    try {
      await until("memory is short", async () => (await status()) !== "ok");
    } finally {
      hog.kill("SIGKILL");
      await hog.exited;
    }
    await until("memory is there again", async () => (await status()) === "ok", 30_000);
    await machine.stop();
  },
  90_000,
);

test("a limit that was changed is the one /sys/limits shows", async () => {
  await using k = await testKernel();
  await k.call("storage.limit.set", { name: "storage.diskUsedMax", value: 0.95 });
  const { stream } = await k.call<{ stream: ReadableStream }>("fs.read", { path: "/sys/limits" });
  expect(await new Response(stream).text()).toContain("storage.diskUsedMax: 0.95\n");
});
