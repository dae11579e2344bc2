/** Events, cron and one-shots in whole kernels, with real processes and a clock the test moves. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { clock } from "../../../tests/clock.ts";
import { type Deployed, deployed } from "../../../tests/deployed.ts";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import { until } from "../../../tests/process.ts";
import type { Caller } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import type { EventInfo, JobInfo } from "./event.ts";

const time = clock();
let k: TestKernel;
beforeAll(async () => {
  k = await testKernel({ machine: time.machine });
});
afterAll(() => k[Symbol.asyncDispose]());

const minute = 60_000;

const run = (name: string, source: string, manifest: object = {}) =>
  deployed(k, name, {
    files: { "server.js": `import { kernel } from "fazt";\n${source}` },
    manifest: { server: "server.js", ...manifest },
  });

/** The caller that an app's process is. */
const as = ({ id, release }: Deployed): Caller => ({
  kind: "app",
  via: "app",
  userId: null,
  appId: id,
  releaseId: release,
  grants: ["proc:self"],
  address: null,
});
const emit = (from: Deployed, name: string, payload: unknown = null) =>
  k.call<{ id: number }>("proc.emit", { name, payload }, { from: as(from) });
const errno = (promise: Promise<unknown>) =>
  promise.then(
    () => "OK",
    (error: unknown) => (error instanceof SysError ? error.code : String(error)),
  );

/** Waits until a key that an app writes has a value that pleases. */
async function value<T>(app: string, key: string, pleases: (value: T) => boolean): Promise<T> {
  for (;;) {
    const scope = { appId: k.kernel.app.get(app).id, userId: null };
    const found = k.kernel.storage.kv.get(scope, key)?.value as T | undefined;
    if (found !== undefined && pleases(found)) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Resolves with the first line of an app's log that matches. */
async function line(app: string, pattern: RegExp): Promise<string> {
  for (;;) {
    const { id } = k.kernel.app.get(app);
    const found = k.kernel.storage.logs
      .query({ appId: id, limit: 1000 })
      .find(({ text }) => pattern.test(text));
    if (found !== undefined) return found.text;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** An app that writes down every event it hears under the key `heard`, in order. */
const listener = (pattern: string) => `
  const heard = (await kernel.storage.kv.get({ key: "heard" }))?.value ?? [];
  await kernel.proc.on(${JSON.stringify(pattern)}, async ({ name, payload }) => {
    heard.push([name, payload]);
    await kernel.storage.kv.set({ key: "heard", value: heard });
  });
  export default () => new Response("ok");`;
const plain = 'export default () => new Response("ok");';

describe("events", () => {
  test("wake who sleeps, carry their payload, and are kept to be seen", async () => {
    const blog = await run("blog", plain);
    await run("reader", listener("app:blog.post.*"), { permissions: ["events:blog"] });
    await k.call("proc.stop", { app: "reader" });
    await k.call("proc.startApp", { app: "reader" });
    await k.call("proc.kill", { app: "reader" });
    expect((await k.call<{ state: string }[]>("proc.status", { app: "reader" }))[0]?.state).toBe(
      "sleeping",
    );
    const { id } = await emit(blog, "post.created", { id: 7 });
    expect(await value("reader", "heard", () => true)).toEqual([
      ["app:blog.post.created", { id: 7 }],
    ]);
    await emit(blog, "comment.created");
    const listed = await k.call<EventInfo[]>("proc.events", { app: "blog" });
    expect(listed.map(({ name }) => name)).toEqual([
      "app:blog.comment.created",
      "app:blog.post.created",
    ]);
    expect(listed[1]).toMatchObject({ id, payload: { id: 7 }, failed: 0 });
  });

  test("of another app need the permission, and nobody emits in another's name", async () => {
    const nosy = await run("nosy", plain);
    const on = (name: string) => errno(k.call("proc.on", { name }, { from: as(nosy) }));
    expect(await on("app:blog.post.*")).toBe("EACCES");
    expect(await on("own.thing")).toBe("OK");
    expect(await on("system.app.crashed")).toBe("OK");
    expect(await errno(emit(nosy, "app:blog.post.created"))).toBe("EPERM");
    expect(await errno(emit(nosy, "system.started"))).toBe("EPERM");
    expect(await errno(emit(nosy, "no spaces"))).toBe("EINVAL");
  });

  test("are bounded: 64 KB each, 100 a second", async () => {
    const busy = await run("busy", plain);
    expect(await errno(emit(busy, "large", "x".repeat(65_536)))).toBe("EFBIG");
    const ends = await Promise.all(Array.from({ length: 150 }, () => errno(emit(busy, "many"))));
    const taken = ends.filter((end) => end === "OK").length;
    expect(taken).toBeGreaterThanOrEqual(98);
    expect(taken).toBeLessThan(150);
    expect(new Set(ends)).toEqual(new Set(["OK", "EAGAIN"]));
    time.pass(1000);
    expect(await errno(emit(busy, "again"))).toBe("OK");
  });

  test("come again when the handler fails: after 1, 10, 60 seconds, then they are given up", async () => {
    const shaky = await run(
      "shaky",
      `await kernel.proc.on("try", async () => {
        await kernel.storage.kv.incr({ key: "tries" });
        throw new Error("not today");
      });
      ${plain}`,
    );
    await emit(shaky, "try");
    for (const [tries, wait] of [
      [1, 1_000],
      [2, 10_000],
      [3, 60_000],
    ] as const) {
      await value<number>("shaky", "tries", (n) => n === tries);
      await waiting(shaky.id, tries);
      time.pass(wait * 1.3);
    }
    expect(await value<number>("shaky", "tries", (n) => n === 4)).toBe(4);
    expect(await line("shaky", /gave event/)).toContain("after 4 attempts: answered 500");
    const [listed] = await k.call<EventInfo[]>("proc.events", { app: "shaky" });
    expect(listed).toMatchObject({ waiting: 0, failed: 1 });
  });

  test("wait for an app that is stopped", async () => {
    const quiet = await run("quiet", listener("note"));
    await k.call("proc.stop", { app: "quiet" });
    await emit(quiet, "note", 1);
    await line("quiet", /its events wait/);
    await k.call("proc.startApp", { app: "quiet" });
    expect(await value("quiet", "heard", () => true)).toEqual([["app:quiet.note", 1]]);
  });

  test("wait while the app has no server code, and wake nothing", async () => {
    const mixed = await run("mixed", listener("note"));
    await deployed(k, "mixed", { files: { "public/index.html": "hi" } });
    await emit(mixed, "note", 1);
    expect(k.kernel.proc.status(k.kernel.app.get("mixed"))).toMatchObject({ state: "static" });
    await run("mixed", listener("note"));
    expect(await value("mixed", "heard", () => true)).toEqual([["app:mixed.note", 1]]);
  });

  test("of nobody's handler end the subscription", async () => {
    const deaf = await run("deaf", plain);
    await k.call("proc.on", { name: "thing" }, { from: as(deaf) });
    await emit(deaf, "thing");
    expect(await line("deaf", /listens to/)).toContain('"app:deaf.thing" no more');
    await emit(deaf, "thing");
    const listed = await k.call<EventInfo[]>("proc.events", { app: "deaf", limit: 1 });
    expect(listed[0]?.waiting).toBe(0);
  });

  test("cannot be forged by a client", async () => {
    await run("forged", listener("x"));
    const request = new Request("http://forged.localhost/", {
      method: "POST",
      headers: { "x-fazt-event": "app:forged.x", "x-fazt-cron": "* * * * *" },
      body: "1",
    });
    const meta = { id: "req_1", address: "192.0.2.1", userId: null, upgrade: null };
    const reply = await k.kernel.proc.fetch(k.kernel.app.get("forged"), request, meta);
    expect(await reply.text()).toBe("ok");
  });

  test("of the system: what is said of another app needs a permission", async () => {
    await run("keeper", listener("system.app.*"), { permissions: ["events:system"] });
    await run("curious", listener("system.app.*"));
    await run("newcomer", plain);
    const heard = await value<[string, { app: string }][]>("keeper", "heard", (all) =>
      all.some(([, about]) => about.app === "newcomer"),
    );
    expect(heard.at(-1)?.[0]).toBe("system.app.deployed");
    const own = await value<[string, { app: string }][]>("curious", "heard", () => true);
    expect(new Set(own.map(([, about]) => about.app))).toEqual(new Set(["curious"]));
  });
});

/** Waits until work of an app waits for its next attempt, so many having failed. */
async function waiting(appId: string, attempts: number): Promise<void> {
  const sql = "SELECT 1 FROM event_task WHERE app_id = ? AND attempts = ?";
  while (k.kernel.storage.read.get(sql, appId, attempts) === null) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const recorder = `
  export default async (request) => {
    const marks = Object.fromEntries([...request.headers].filter(([name]) => name.startsWith("x-fazt-")));
    await kernel.storage.kv.set({ key: "marks", value: marks });
    await kernel.storage.kv.incr({ key: new URL(request.url).pathname });
    if (request.url.endsWith("/slow")) await Bun.sleep(200);
    return new Response(await request.text());
  };`;

describe("cron", () => {
  const jobs = (app: string) => k.call<JobInfo[]>("proc.jobs", { app });

  test("requests the path with a mark, at its time and not before", async () => {
    await run("clockwork", recorder, { cron: [{ schedule: "*/5 * * * *", path: "/tick" }] });
    const [job] = await jobs("clockwork");
    expect(job).toMatchObject({ kind: "cron", path: "/tick", zone: "UTC", lastAt: null });
    const before = (job?.dueAt ?? 0) - time.machine.now() - 1000;
    if (before > 0) time.pass(before);
    expect((await jobs("clockwork"))[0]?.dueAt).toBe(job?.dueAt as number);
    time.pass(Math.max(0, (job?.dueAt ?? 0) - time.machine.now()));
    await value<number>("clockwork", "/tick", (n) => n === 1);
    const marks = await value<Record<string, string>>("clockwork", "marks", () => true);
    expect(marks).toEqual({ "x-fazt-cron": "*/5 * * * *", "x-fazt-due-at": String(job?.dueAt) });
    await until("the run has ended", async () => (await jobs("clockwork"))[0]?.lastStatus === 200);
    expect((await jobs("clockwork"))[0]?.dueAt).toBe((job?.dueAt ?? 0) + 5 * minute);
  });

  test("passes over a run while the one before goes on", async () => {
    await run("slow", recorder, { cron: [{ schedule: "* * * * *", path: "/slow" }] });
    time.pass(minute);
    await value<number>("slow", "/slow", (n) => n === 1);
    time.pass(minute);
    expect(await line("slow", /passed over/)).toContain('cron "* * * * *" /slow');
  });

  test("missed runs are made up for once, or not at all; also over a restart", async () => {
    await run("late", recorder, {
      cron: [
        { schedule: "0 * * * *", path: "/made-up" },
        { schedule: "0 * * * *", path: "/skipped", missed: "skip" },
      ],
    });
    await jobs("late");
    await k.close();
    time.pass(5 * 60 * minute + 10 * minute);
    k = await testKernel({ machine: time.machine, dataDir: k.dataDir });
    await value<number>("late", "/made-up", (n) => n === 1);
    const madeUp = async () => (await jobs("late")).find(({ path }) => path === "/made-up");
    await until("the run has ended", async () => (await madeUp())?.lastStatus === 200);
    const due = (await jobs("late")).map(({ dueAt }) => dueAt);
    expect(new Set(due).size).toBe(1);
    expect((due[0] ?? 0) % (60 * minute)).toBe(0);
    time.pass((due[0] ?? 0) - time.machine.now());
    await value<number>("late", "/made-up", (n) => n === 2);
    await value<number>("late", "/skipped", (n) => n === 1);
  });

  test("a release without the entry ends it; a schedule that is none is refused", async () => {
    await run("changing", recorder, { cron: [{ schedule: "0 0 * * *", path: "/a" }] });
    await run("changing", recorder, { cron: [{ schedule: "0 0 * * *", path: "/b" }] });
    const paths = async () => (await jobs("changing")).map(({ path }) => path).join();
    await until("the timetable follows", async () => (await paths()) === "/b");
    const bad = (schedule: string) =>
      errno(run("changing", recorder, { cron: [{ schedule, path: "/" }] }));
    expect([await bad("61 * * * *"), await bad("0 0 30 2 *")]).toEqual(["EINVAL", "EINVAL"]);
  });
});

describe("one-shots", () => {
  const schedule = (from: Deployed, input: object) =>
    k.call<{ id: string; at: number }>("proc.schedule", input, { from: as(from) });

  test("come once, with payload and mark, also after a restart", async () => {
    const app = await run("later", recorder);
    const { id, at } = await schedule(app, { path: "/once", afterMs: minute, payload: [1] });
    expect(at).toBeGreaterThan(time.machine.now());
    await k.close();
    time.pass(2 * minute);
    k = await testKernel({ machine: time.machine, dataDir: k.dataDir });
    await value<number>("later", "/once", (n) => n === 1);
    const marks = await value<Record<string, string>>("later", "marks", () => true);
    expect(marks["x-fazt-schedule"]).toBe(id);
    const jobs = () => k.call<JobInfo[]>("proc.jobs", { app: "later" });
    await until("it is done", async () => (await jobs()).length === 0);
  });

  test("of one id are one; canceled they do not come", async () => {
    const app = await run("changed", recorder);
    await schedule(app, { path: "/a", afterMs: minute, id: "mail" });
    await schedule(app, { path: "/b", afterMs: minute, id: "mail" });
    await schedule(app, { path: "/c", afterMs: minute, id: "gone" });
    const cancel = () => k.call("proc.cancel", { id: "gone" }, { from: as(app) });
    expect(await cancel()).toEqual({ canceled: true });
    expect(await cancel()).toEqual({ canceled: false });
    time.pass(minute);
    await value<number>("changed", "/b", (n) => n === 1);
    const scope = { appId: app.id, userId: null };
    expect(k.kernel.storage.kv.get(scope, "/a")).toBeNull();
    expect(k.kernel.storage.kv.get(scope, "/c")).toBeNull();
  });

  test("need exactly one time, within a year", async () => {
    const app = await run("timeless", recorder);
    const bad = (input: object) => errno(schedule(app, { path: "/", ...input }));
    expect(await bad({})).toBe("EINVAL");
    expect(await bad({ at: 1, afterMs: 1 })).toBe("EINVAL");
    expect(await bad({ afterMs: 400 * 24 * 60 * minute })).toBe("EINVAL");
  });
});

test("an app that is removed leaves nothing of all this", async () => {
  const app = await run("leaving", listener("x"), { cron: [{ schedule: "@daily", path: "/" }] });
  await k.call("proc.schedule", { path: "/", afterMs: 1e6 }, { from: as(app) });
  await emit(app, "x");
  await value("leaving", "heard", () => true);
  await k.call("app.rm", { app: "leaving", purge: true });
  const left = () =>
    ["event_event", "event_task", "event_cron", "event_subscription", "event_room"].filter(
      (table) =>
        k.kernel.storage.read.get(`SELECT 1 FROM ${table} WHERE app_id = ?`, app.id) !== null,
    );
  await until("its rows have gone", () => left().length === 0);
});
