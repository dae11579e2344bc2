/**
 * The conductor with a real kernel of its own, and a program in a slot that is only as much of a
 * kernel as the two say to each other.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import { programPath, type SlotStore, slots } from "../../kernel/proc/upgrade/mod.ts";
import { until } from "../../tests/process.ts";
import { type Running, run } from "../start.ts";
import { slotStore } from "./begin.ts";
import { Conductor } from "./conductor.ts";

/**
 * Where it is asked to, it hangs while it is tried, or is busy when it is to yield; its process and
 * whom it leads beside are in files.
 */
const program = (dir: string, url: string, version: string): string => `
import { existsSync, writeFileSync } from "node:fs";
const say = (said) => process.stdout.write(JSON.stringify(said) + "\\n");
if (process.argv[2] === "upgrade-check") {
  writeFileSync("${dir}/checking", "");
  while (existsSync("${dir}/hang")) await Bun.sleep(20);
  say({ version: "${version}", schemaVersion: 1 });
  process.exit(0);
}
const seen = { requests: 0, errors: 0, latency: [], doors: [], domain: null };
const ready = { ready: true, http: "${url}", https: null, domain: null, setupCode: null, bootMs: 1 };
writeFileSync("${dir}/pid", String(process.pid));
say({ kind: "awake", version: "${version}" });
for await (const line of console) {
  const told = JSON.parse(line);
  if (told.kind === "lead") {
    writeFileSync("${dir}/beside", JSON.stringify(told.beside));
    say({ kind: "ready", ready });
  }
  if (told.kind === "look") say({ kind: "seen", id: told.id, seen });
  const busy = existsSync("${dir}/busy");
  if (told.kind === "yield") say(busy ? { kind: "busy", message: "busy" } : { kind: "yielded" });
  if (told.kind === "leave" || told.kind === "end") process.exit(0);
}
`;

let dataDir: string;
let store: SlotStore;
let own: Running;
let conductor: Conductor;
let web: Bun.Server<undefined>;
/** What the conductor says is heard here at once. */
let heard: (line: string) => void;

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "fazt-conductor-"));
  store = slotStore(dataDir);
  web = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("ok") });
  const none = { https: null, httpsAsked: false, domain: null, insecureNoSandbox: false };
  const options = { ...none, dataDir, http: "127.0.0.1:0", json: true };
  heard = () => {};
  const quiet = { say: (line: string) => heard(line), setupCode: () => {} };
  conductor = new Conductor({ ...quiet, store, appliance: false, yieldMs: 2_000 });
  own = await run(options);
  conductor.attach(own, options, "base");
});
afterEach(async () => {
  await own.stop();
  await web.stop(true);
  rmSync(dataDir, { recursive: true });
});

/** Has the conductor replace what runs by the program that is put in this slot. */
function order(place: slots.SlotName, version: string): void {
  const path = programPath(dataDir, place);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(`${path}.js`, program(dataDir, web.url.origin, version));
  writeFileSync(path, `#!/bin/sh\nexec ${process.execPath} ${path}.js "$@"\n`);
  chmodSync(path, 0o755);
  const slot = { version, sha256: "0".repeat(64), sizeBytes: 1, installedAt: Date.now() };
  const about = { id: `up_${version}`, kind: "binary", to: version, at: Date.now() } as const;
  store.change((state) => slots.fill(slots.begin(state, about), place, slot));
  conductor.order({ place, version, trialMs: 1 });
}

const newest = () => store.read().history[0];
const outcome = (): string => `${store.read().history[0]?.to} ${store.read().history[0]?.outcome}`;

test("a kernel that dies while the next one is tried is missed, and taken back from", async () => {
  const { http } = own.ready;
  const end = Promise.withResolvers<void>();
  order("a", "2.0.0");
  await conductor.over;
  const lived = conductor.live(end.promise);
  await until("it is committed", () => outcome() === "2.0.0 committed");
  // Nobody else is at the address: the one that was before has left, this one never listened.
  const answers = async () => (await fetch(`${http}/sys/health`).catch(() => null)) !== null;
  await until("the first one has left", async () => !(await answers()), 60_000);

  writeFileSync(join(dataDir, "hang"), "");
  rmSync(join(dataDir, "checking"));
  order("b", "3.0.0");
  await until("the next one is tried", () => existsSync(join(dataDir, "checking")));
  process.kill(Number(readFileSync(join(dataDir, "pid"), "utf8")), "SIGKILL");
  rmSync(join(dataDir, "hang"));
  await until("what was before answers", answers, 60_000);
  end.resolve();
  await lived;
  expect(store.read()).toMatchObject({ active: "base", attempt: null });
}, 120_000);

test("one that does not let go in time is waited for, and does not end the process", async () => {
  const { booted } = own;
  const letGo = Promise.withResolvers<void>();
  const yieldWork = booted.yieldWork;
  Object.assign(booted, { yieldWork: () => letGo.promise.then(yieldWork) });
  order("a", "2.0.0");
  await until(
    "it is told to yield",
    () => store.read().history[0]?.phases.some(({ phase }) => phase === "going back"),
    60_000,
  );
  letGo.resolve();
  await until("it went back", () => outcome() === "2.0.0 reverted", 60_000);
  expect(await fetch(`${own.ready.http}/sys/health`)).toMatchObject({ status: 200 });
  expect(await conductor.live(Promise.resolve())).toBe(0);
}, 120_000);

test("one that has a change under way keeps its place, and is asked again", async () => {
  const { booted } = own;
  const { yieldWork } = booted;
  const busy = new SysError("EBUSY", "cannot hand over: fs.write is under way");
  Object.assign(booted, { yieldWork: () => Promise.reject(busy) });
  order("a", "2.0.0");
  await until("it gives up", () => outcome() === "2.0.0 failed", 60_000);
  expect(newest()).toMatchObject({ reason: "cannot hand over: fs.write is under way" });
  expect(newest()?.phases.map(({ phase }) => phase)).not.toContain("going back");
  expect(store.read()).toMatchObject({ blocked: {}, active: "base", attempt: null });
  expect(await fetch(`${own.ready.http}/sys/health`)).toMatchObject({ status: 200 });
  Object.assign(booted, { yieldWork });
  order("a", "2.0.0");
  await until("it is committed", () => outcome() === "2.0.0 committed", 60_000);

  // The same of one in a process of its own.
  writeFileSync(join(dataDir, "busy"), "");
  order("b", "3.0.0");
  await until("it gives up", () => outcome() === "3.0.0 failed", 60_000);
  expect(newest()).toMatchObject({ reason: "busy" });
  rmSync(join(dataDir, "busy"));
  order("b", "3.0.0");
  await until("it is committed", () => outcome() === "3.0.0 committed", 60_000);
  expect(await conductor.live(Promise.resolve())).toBe(0);
}, 120_000);

test("what is asked for before another one is over has its turn after it", async () => {
  heard = (line) => {
    heard = () => {};
    expect(line).toContain("2.0.0 runs now");
    order("b", "3.0.0");
  };
  order("a", "2.0.0");
  await until("both are committed", () => outcome() === "3.0.0 committed", 60_000);
  expect(store.read()).toMatchObject({ active: "b", previous: "a", attempt: null });
  expect(await conductor.live(Promise.resolve())).toBe(0);
}, 120_000);

test("a kernel that takes over leaves alone what is of every one that has not left yet", async () => {
  const { leave } = own;
  const done = Promise.withResolvers<void>();
  Object.assign(own, { leave: () => done.promise.then(leave) });
  order("a", "2.0.0");
  await until("it is committed", () => outcome() === "2.0.0 committed", 60_000);
  const pid = Number(readFileSync(join(dataDir, "pid"), "utf8"));
  order("b", "3.0.0");
  await until("it is committed", () => outcome() === "3.0.0 committed", 60_000);
  const beside = JSON.parse(readFileSync(join(dataDir, "beside"), "utf8")) as number[];
  expect(beside.toSorted()).toEqual([process.pid, pid].toSorted());
  done.resolve();
  expect(await conductor.live(Promise.resolve())).toBe(0);
}, 120_000);
