/** Supervision of real processes: on demand, crash loops, sleep, replacement without loss. */
import { describe, expect, test } from "bun:test";
import { until } from "../../tests/process.ts";
import { realMachine } from "../machine.ts";
import { meta, type Stage, stage, testApp, testRelease } from "./fixture.ts";
import { defaultLimits, type ProcLimits } from "./limits.ts";
import { NotRunning, Supervisor } from "./supervisor.ts";

const url = "http://test.localhost/";

interface Given {
  readonly limits?: Partial<ProcLimits>;
  /** How much faster the waits between crashes pass. */
  readonly speed?: number;
  readonly stopped?: boolean;
  /** What a start waits for, by the number of starts before it. */
  readonly gate?: (before: number) => Promise<void> | undefined;
}

/** A supervisor whose releases are these sources, the first one current. */
function supervise(place: Stage, sources: string[], given: Given = {}) {
  const machine = realMachine();
  const speed = given.speed ?? 1;
  const limits = { ...defaultLimits, ...given.limits };
  const notes: string[] = [];
  let current = 1;
  let spawned = 0;
  const supervisor = new Supervisor(
    {
      machine: { ...machine, after: (ms, run) => machine.after(ms / speed, run) },
      limits,
      wanted: () => ({ app: testApp, release: testRelease(current, {}) }),
      spawn: async (release) => {
        const before = spawned++;
        await given.gate?.(before);
        const { number, manifest } = release;
        return place.spawn(sources[number - 1] ?? "", { limits, number, manifest });
      },
      note: (_level, text) => notes.push(text),
    },
    given.stopped ?? false,
  );
  const ask = async (path = "") => {
    const request = new Request(url + path);
    return await (await supervisor.serve((process) => process.fetch(request, meta))).text();
  };
  return {
    supervisor,
    notes,
    ask,
    spawned: () => spawned,
    switchTo: (number: number) => {
      current = number;
    },
    [Symbol.asyncDispose]: () => supervisor.close(),
  };
}

const hello = 'export default () => new Response("hello")';
const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error as NotRunning,
  );

describe("on demand", () => {
  test("the first requests start one process and all are served by it", async () => {
    await using place = stage();
    await using app = supervise(place, [hello]);
    expect(app.supervisor.condition.state).toBe("sleeping");
    const replies = await Promise.all(Array.from({ length: 50 }, () => app.ask()));
    expect(new Set(replies)).toEqual(new Set(["hello"]));
    expect(app.spawned()).toBe(1);
    expect(app.supervisor.condition.state).toBe("running");
    expect(app.supervisor.requests).toBe(50);
  });

  test("what comes when the socket is gone and the process not yet, waits for the next one", async () => {
    await using place = stage();
    const closing = `import { closeSync } from "node:fs";
      let asked = 0;
      export default () => {
        if (asked++ > 0) return new Response("late");
        setTimeout(() => closeSync(3), 20);
        return new Response("first");
      };`;
    await using app = supervise(place, [closing, hello], { limits: { endTimeoutMs: 50 } });
    expect(await app.ask()).toBe("first");
    app.switchTo(2);
    const process = app.supervisor.current;
    while (process?.lost !== true) await new Promise((resolve) => setImmediate(resolve));
    expect(app.supervisor.condition.state).toBe("running");
    expect(await app.ask()).toBe("hello");
    expect(await process.exited).toBe("closed its socket");
  });

  test("no more wait than may", async () => {
    await using place = stage();
    await using app = supervise(place, [hello], { limits: { waitingMax: 3 } });
    const all = Array.from({ length: 5 }, () => refusal(app.ask()));
    const refused = (await Promise.all(all)).filter((error) => error instanceof NotRunning);
    expect(refused.map(({ kind, retryAfterMs }) => [kind, retryAfterMs])).toEqual([
      ["busy", 1000],
      ["busy", 1000],
    ]);
  });

  test("whoever waits too long is told when to come again", async () => {
    await using place = stage();
    await using app = supervise(place, ["throw 1"], {
      limits: { startTimeoutMs: 1000 },
      speed: 0.5,
    });
    await refusal(app.ask());
    expect(app.supervisor.condition.state).toBe("backoff");
    let told: NotRunning | null = null;
    void refusal(app.ask()).then((error) => {
      told = error;
    });
    while (told === null) {
      app.supervisor.tick(null);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(told).toMatchObject({ kind: "busy", message: "exited with code 1" });
    expect((told as NotRunning).retryAfterMs).toBeGreaterThanOrEqual(1000);
  });

  test("idle: asleep; the next request wakes it", async () => {
    await using place = stage();
    await using app = supervise(place, [hello]);
    await app.ask();
    app.supervisor.tick(60_000);
    expect(app.supervisor.condition.state).toBe("running");
    app.supervisor.tick(0);
    expect(app.supervisor.condition.state).toBe("draining");
    const reply = app.ask();
    expect(await reply).toBe("hello");
    expect(app.spawned()).toBe(2);
  });

  test("a request under way is not idle", async () => {
    await using place = stage();
    await using app = supervise(place, [
      'export default () => Bun.sleep(30).then(() => new Response("late"))',
    ]);
    const reply = app.ask();
    await app.supervisor.settled("running");
    app.supervisor.tick(0);
    expect(await reply).toBe("late");
  });
});

describe("crashes", () => {
  test("the request that meets a start that fails is refused with the reason", async () => {
    await using place = stage();
    await using app = supervise(place, ['throw new Error("no database")']);
    const error = await refusal(app.ask());
    expect([error?.kind, error?.message]).toEqual([
      "broken",
      "exited with code 1: error: no database",
    ]);
    expect(app.supervisor.condition.state).toBe("backoff");
    expect(app.notes[0]).toMatch(
      /^exited with code 1: error: no database; starts again in [01]\.\d s$/,
    );
  });

  test("five within a minute: crashed, and it stays down until told", async () => {
    await using place = stage();
    await using app = supervise(place, ['throw new Error("no database")'], {
      speed: 20,
      limits: { drainTimeoutMs: 600_000 },
    });
    await refusal(app.ask());
    await app.supervisor.settled("crashed");
    expect(app.spawned()).toBe(5);
    expect(app.supervisor.restarts).toBe(4);
    expect(app.notes.at(-1)).toBe(
      "stays down: 5 crashes within 60 s, the last: exited with code 1: error: no database",
    );
    expect((await refusal(app.ask()))?.kind).toBe("down");
    expect(app.spawned()).toBe(5);
    app.supervisor.tell({ kind: "start" });
    expect(app.supervisor.condition.state).toBe("starting");
  });

  test("a process that is killed comes back after the wait, and requests wait for it", async () => {
    await using place = stage();
    await using app = supervise(place, [hello], { speed: 20 });
    await app.ask();
    process.kill(app.supervisor.current?.pid ?? 0, "SIGKILL");
    await app.supervisor.settled("backoff");
    expect(await app.ask()).toBe("hello");
    expect(app.spawned()).toBe(2);
  });
});

describe("the owner's word", () => {
  test("stop lets requests finish, refuses others, and start brings it back", async () => {
    await using place = stage();
    await using app = supervise(place, [
      'export default () => Bun.sleep(30).then(() => new Response("late"))',
    ]);
    const reply = app.ask();
    await app.supervisor.settled("running");
    await new Promise((resolve) => setImmediate(resolve));
    app.supervisor.tell({ kind: "stop", reason: "stopped by the owner" });
    expect((await refusal(app.ask()))?.kind).toBe("down");
    expect(await reply).toBe("late");
    await app.supervisor.settled("stopped");
    expect(app.supervisor.current).toBeNull();
    app.supervisor.tell({ kind: "start" });
    await app.supervisor.settled("running");
  });

  test("stop while it starts ends stopped, with no process", async () => {
    await using place = stage();
    await using app = supervise(place, ["await new Promise(() => {})"]);
    const waiting = refusal(app.ask());
    app.supervisor.tell({ kind: "stop", reason: "stopped by the owner" });
    expect((await waiting)?.kind).toBe("down");
    await app.supervisor.settled("stopped");
    expect(app.supervisor.current).toBeNull();
  });

  test("kill ends it at once; the next request starts another", async () => {
    await using place = stage();
    await using app = supervise(place, ["export default () => new Promise(() => {})", hello]);
    const hanging = app.ask().catch((error: unknown) => String(error));
    await app.supervisor.settled("running");
    await new Promise((resolve) => setImmediate(resolve));
    app.supervisor.tell({ kind: "kill" });
    expect(await hanging).toContain("the app has gone");
    await app.supervisor.settled("sleeping");
    app.switchTo(2);
    expect(await app.ask()).toBe("hello");
  });

  test("stopped from the beginning: nothing starts it but start", async () => {
    await using place = stage();
    await using app = supervise(place, [hello], { stopped: true });
    expect((await refusal(app.ask()))?.kind).toBe("down");
    expect(app.spawned()).toBe(0);
  });
});

describe("another release", () => {
  const say = (text: string) =>
    `export default () => Bun.sleep(1).then(() => new Response(${JSON.stringify(text)}))`;

  test("is proven beside, then gets every new request; none is lost", async () => {
    await using place = stage();
    await using app = supervise(place, [say("one"), say("two")]);
    await app.ask();
    const old = app.supervisor.current;
    let running = true;
    const replies: string[] = [];
    const load = Array.from({ length: 8 }, async () => {
      while (running) replies.push(await app.ask());
    });
    await app.supervisor.prove(testRelease(2, {}));
    app.switchTo(2);
    expect(app.supervisor.adopt("rel_2")).toBe(true);
    expect(await app.ask()).toBe("two");
    await old?.exited;
    running = false;
    await Promise.all(load);
    expect(replies[0]).toBe("one");
    expect(replies.at(-1)).toBe("two");
    expect(replies.every((text) => text === "one" || text === "two")).toBe(true);
    expect(app.supervisor.releases()).toEqual(["rel_2"]);
  });

  test("that does not start is ENOEXEC with what it printed; the old one goes on", async () => {
    await using place = stage();
    await using app = supervise(place, [say("one"), 'throw new Error("no such table")']);
    await app.ask();
    const error = await refusal(app.supervisor.prove(testRelease(2, {})));
    expect(error).toMatchObject({ code: "ENOEXEC" });
    expect(error?.message).toContain("no such table");
    expect(await app.ask()).toBe("one");
    expect(app.supervisor.condition.state).toBe("running");
  });

  test("that never becomes healthy is refused and ended; the old one goes on", async () => {
    await using place = stage();
    const ill = 'export default () => new Response("ill", { status: 500 })';
    await using app = supervise(place, [say("one"), ill], { limits: { startTimeoutMs: 1500 } });
    await app.ask();
    const error = await refusal(app.supervisor.prove(testRelease(2, { health: "/ready" })));
    expect(error).toMatchObject({ code: "ENOEXEC" });
    expect(error?.message).toContain("not ready within 1.5 s");
    expect(app.supervisor.releases()).toEqual(["rel_1"]);
    expect(await app.ask()).toBe("one");
  });

  test("that is proven twice at once leaves one process", async () => {
    await using place = stage();
    await using app = supervise(place, [say("one"), say("two")]);
    await app.ask();
    const prove = () => app.supervisor.prove(testRelease(2, {}));
    await Promise.all([prove(), prove()]);
    app.switchTo(2);
    expect(app.supervisor.adopt("rel_2")).toBe(true);
    await until("the other processes end", () => app.supervisor.releases().length === 1);
    expect(await app.ask()).toBe("two");
    // Nor does what was left of the first proof end a later one.
    expect(app.supervisor.adopt("rel_2")).toBe(false);
  });

  test("brings an app out of a crash loop", async () => {
    await using place = stage();
    await using app = supervise(place, ["throw 1", say("two")], { speed: 20 });
    await refusal(app.ask());
    await app.supervisor.settled("crashed");
    await app.supervisor.prove(testRelease(2, {}));
    app.supervisor.adopt("rel_2");
    expect(await app.ask()).toBe("two");
  });

  test("does not wake what its owner stopped", async () => {
    await using place = stage();
    await using app = supervise(place, [hello, say("two")], { stopped: true });
    await app.supervisor.prove(testRelease(2, {}));
    expect(app.supervisor.adopt("rel_2")).toBe(true);
    expect(app.supervisor.condition.state).toBe("stopped");
    expect((await refusal(app.ask()))?.kind).toBe("down");
  });

  test("replace gives a fresh process of the same release", async () => {
    await using place = stage();
    await using app = supervise(place, [hello]);
    await app.ask();
    const old = app.supervisor.current;
    await app.supervisor.replace();
    expect(app.supervisor.current).not.toBe(old);
    expect(await app.ask()).toBe("hello");
    expect(await old?.exited).toBe("ended by the kernel");
  });
});

test("what was proved and abandoned is ended at once", async () => {
  await using place = stage();
  await using app = supervise(place, [hello, hello]);
  await app.ask();
  await app.supervisor.prove(testRelease(2, {}));
  expect(app.supervisor.releases()).toEqual(["rel_1", "rel_2"]);
  app.supervisor.abandon("rel_2");
  while (app.supervisor.releases().length > 1) await new Promise((turn) => setImmediate(turn));
  expect(app.supervisor.adopt("rel_2")).toBe(false);
  expect(await app.ask()).toBe("hello");
});

test("a fresh process of a release that is not current any more takes nothing over", async () => {
  await using place = stage();
  const slow = Promise.withResolvers<void>();
  const say = (text: string) => `export default () => new Response("${text}")`;
  const gate = (before: number) => (before === 1 ? slow.promise : undefined);
  await using app = supervise(place, [say("one"), say("two")], { gate });
  expect(await app.ask()).toBe("one");
  const replacing = app.supervisor.replace();
  while (app.spawned() < 2) await new Promise((turn) => setImmediate(turn));
  // A deploy overtakes it.
  await app.supervisor.prove(testRelease(2, {}));
  app.switchTo(2);
  app.supervisor.adopt("rel_2");
  slow.resolve();
  await replacing;
  expect(await app.ask()).toBe("two");
});

test("when the machine ends, an app may finish what it works on", async () => {
  await using place = stage();
  const working = `export default (request, context) => {
    context.waitUntil(Bun.sleep(1000).then(() => console.log("done")));
    return new Response("begun");
  };`;
  const app = supervise(place, [working], { limits: { endTimeoutMs: 50 } });
  expect(await app.ask()).toBe("begun");
  const process = app.supervisor.current;
  while (process?.busy !== true && place.logged.length === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await app.supervisor.close();
  expect(place.logged).toEqual([{ level: "info", text: "done" }]);
  expect(await process?.exited).toBe("ended by the kernel");
});
