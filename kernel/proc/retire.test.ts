/**
 * What time brings to a running app, in a whole kernel with a clock the test moves: sleep when it
 * is idle, but not while it works on after a reply; a fresh process before memory runs out.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { clock } from "../../tests/clock.ts";
import { deployed } from "../../tests/deployed.ts";
import { type TestKernel, testKernel } from "../../tests/kernel.ts";
import { until } from "../../tests/process.ts";
import { meta } from "./fixture.ts";
import { outputBurstBytes, outputBytesPerSecond, retireAgeMs } from "./limits.ts";
import { paced } from "./output.ts";
import type { ProcStatus } from "./proc.ts";
import { shouldRetire } from "./state.ts";

const time = clock();
let k: TestKernel;
beforeAll(async () => {
  k = await testKernel({ machine: time.machine });
});
afterAll(() => k[Symbol.asyncDispose]());

const run = (name: string, source: string, manifest: object = {}) =>
  deployed(k, name, {
    files: { "server.js": source },
    manifest: { server: "server.js", ...manifest },
  });
const ask = async (name: string, path = "") => {
  const request = new Request(`http://${name}.localhost/${path}`);
  return await (await k.kernel.proc.fetch(k.kernel.app.get(name), request, meta)).text();
};
const status = (name: string): ProcStatus => k.kernel.proc.status(k.kernel.app.get(name));

test("an idle app sleeps after its time, and the next request wakes it", async () => {
  await run("idler", 'export default () => new Response("ok")', { idle: "10m" });
  expect(await ask("idler")).toBe("ok");
  time.pass(9 * 60_000);
  expect(status("idler").state).toBe("running");
  time.pass(2 * 60_000);
  await until("it sleeps", () => status("idler").state === "sleeping");
  expect(status("idler")).toMatchObject({ pid: null, restarts: 0 });
  expect(await ask("idler")).toBe("ok");
});

test("work given to waitUntil keeps an app awake, and is finished before it ends", async () => {
  await run(
    "worker",
    `import { kernel } from "fazt";
    let finish;
    export default { async fetch(request, context) {
      if (request.url.endsWith("/finish")) { finish(); return new Response("told"); }
      const { promise, resolve } = Promise.withResolvers();
      finish = resolve;
      context.waitUntil(promise.then(() => kernel.storage.kv.set({ key: "done", value: true })));
      return new Response("begun");
    } };`,
    { idle: "1s" },
  );
  expect(await ask("worker")).toBe("begun");
  for (let i = 0; i < 5; i++) time.pass(10_000);
  expect(status("worker").state).toBe("running");
  expect(await ask("worker", "finish")).toBe("told");
  await until("it sleeps", () => {
    time.pass(1000);
    return status("worker").state === "sleeping";
  });
  const scope = { appId: k.kernel.app.get("worker").id, userId: null };
  expect(k.kernel.storage.kv.get(scope, "done")?.value).toBe(true);
});

describe("near the limit of its memory", () => {
  const health = { usedBytes: 81, limitBytes: 100, freeBytes: 100, ageMs: retireAgeMs };

  test("it hands over: at 80 %, where there is room, not at once", () => {
    expect(shouldRetire(health)).toBe(true);
    expect(shouldRetire({ ...health, usedBytes: 80 })).toBe(true);
    expect(shouldRetire({ ...health, usedBytes: 79 })).toBe(false);
    expect(shouldRetire({ ...health, freeBytes: 99 })).toBe(false);
    expect(shouldRetire({ ...health, ageMs: retireAgeMs - 1 })).toBe(false);
  });

  test("a fresh process takes over, and no request is lost", async () => {
    await run(
      "large",
      `const kept = [];
      export default (request) => {
        if (request.url.endsWith("/fill")) kept.push(new Uint8Array(104 << 20).fill(7));
        return new Response(String(kept.length));
      };`,
      { memory: "128M", idle: "never" },
    );
    expect(await ask("large", "fill")).toBe("1");
    const { pid } = status("large");
    time.pass(2 * retireAgeMs);
    await until("another process serves", async () => {
      time.pass(3000);
      expect(["0", "1"]).toContain(await ask("large"));
      return status("large").pid !== pid && (await ask("large")) === "0";
    });
    expect(status("large")).toMatchObject({ state: "running", restarts: 0 });
  });
});

test("output comes no faster than it may, and none of it is lost", async () => {
  const waits: number[] = [];
  let now = 0;
  const machine = {
    monotonicMs: () => now,
    after: (ms: number, done: () => void) => {
      waits.push(ms);
      now += ms;
      queueMicrotask(done);
      return { cancel: () => undefined };
    },
  };
  const piece = new Uint8Array(outputBurstBytes / 4);
  const pieces = 20;
  let left = pieces;
  const stream = new ReadableStream<Uint8Array>({
    pull: (out) => (left-- > 0 ? out.enqueue(piece.slice()) : out.close()),
  });
  let bytes = 0;
  for await (const got of paced(machine, stream)) bytes += got.length;
  expect(bytes).toBe(pieces * piece.length);
  const expected = ((bytes - outputBurstBytes) / outputBytesPerSecond) * 1000;
  expect(waits.reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(expected, 0);
});

test("an app that floods its log does not hold its neighbour up", async () => {
  await run(
    "flood",
    `setInterval(() => { for (let i = 0; i < 200; i++) console.log("x".repeat(5000)); }, 1);
    export default () => new Response("ok")`,
  );
  await run("beside", 'export default () => new Response("ok")');
  const slowest = async (): Promise<number> => {
    let most = 0;
    for (let i = 0; i < 100; i++) {
      const begun = performance.now();
      expect(await ask("beside")).toBe("ok");
      most = Math.max(most, performance.now() - begun);
    }
    return most;
  };
  void ask("flood").catch(() => undefined);
  await until("it floods", () => {
    const { id } = k.kernel.app.get("flood");
    return k.kernel.storage.logs.query({ appId: id, limit: 1 }).length > 0;
  });
  expect(await slowest()).toBeLessThan(1000);
  await k.call("proc.stop", { app: "flood" });
});
