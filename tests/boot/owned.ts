/**
 * A machine with an owner, an app and releases to upgrade to, as the tests of its operating system
 * hold it: what they ask it, what must hold of it whatever was done to it, and its disk from one
 * start to the next. With `FAZT_KEPT=DIR` the disk stays there, and the next run goes on with it.
 */
import { expect } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../process.ts";
import { call, claim, deploy, visit } from "./owner.ts";
import { attachReleases, type Kind, releaseDisc, versionOf } from "./releases.ts";
import { bootVm, makeVmDisk, type Vm } from "./vm.ts";

/** A start without acceleration, beside other work, ms. */
export const bootMsMax = 400_000;
const server = 'export default { fetch: () => new Response("here") };\n';

export interface Slot {
  readonly slot: string;
  readonly version: string | null;
  readonly running: boolean;
  readonly good: boolean;
  readonly trial: boolean;
}

export interface Attempt {
  readonly id: string;
  readonly version: string;
  readonly outcome: string | null;
  readonly phase: string;
  readonly reason: string | null;
  readonly lastLines: readonly string[];
}

/** Tells whoever reads the log that an answer was missing; it is asked for again. */
function unanswered(error: unknown): null {
  console.warn(String(error));
  return null;
}

/** A machine with its owner. */
export interface Owned {
  readonly vm: Vm;
  readonly token: string;
}

export async function ask<T>({ vm, token }: Owned, path: string, input: object = {}): Promise<T> {
  const answer = await call(vm, path, { token, input });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return JSON.parse(text) as T;
}

/** A machine that has just come up, or is about to go, may leave a connection that was kept. */
export const slots = (at: Owned) =>
  until("the slots", () => ask<Slot[]>(at, "/sys/proc/system/ls").catch(unanswered), bootMsMax);
export const newest = async (at: Owned) =>
  (await ask<Attempt[]>(at, "/sys/proc/system/history"))[0] ?? null;

/**
 * Begins an upgrade, as soon as the probe has attached the releases. A slow machine may have begun
 * when the client has given up waiting for its answer.
 */
export async function begin(at: Owned, kind: Kind): Promise<void> {
  const asked = { token: at.token, input: { from: `/run/releases/${kind}/releases` } };
  const begun = async () => {
    const answer = await call(at.vm, "/sys/proc/upgrade/start", asked).catch(() => null);
    return answer?.ok === true || (await newest(at).catch(() => null))?.version === versionOf[kind];
  };
  await until("the releases", begun, bootMsMax);
}

/** Awaits what becomes of the newest attempt, through every restart that takes. */
export function decided(at: Owned, kind: Kind): Promise<Attempt> {
  return until(
    `the end of ${kind}`,
    async () => {
      const attempt = await newest(at).catch(() => null);
      return attempt?.version === versionOf[kind] && attempt.outcome !== null ? attempt : null;
    },
    3 * bootMsMax,
  );
}

/** What must hold of a machine that serves, whatever was done to it: its version is one of these. */
export async function serves(at: Owned, versions: readonly string[]): Promise<string> {
  const known = await slots(at);
  const running = known.find((slot) => slot.running);
  expect(versions).toContain(running?.version ?? "none");
  // A listener that has just changed its certificates may close a connection that was kept.
  const checked = await until(
    "the check of the database",
    () => ask<{ ok: boolean }>(at, "/sys/storage/check").catch(unanswered),
    bootMsMax,
  );
  expect(checked).toMatchObject({ ok: true });
  // A machine that has just started says so until its app runs.
  const answers = async () => (await (await visit(at.vm, "one")).text()) === "here";
  await until("the app", () => answers().catch(unanswered), bootMsMax);
  return running?.version ?? "";
}

/** What a run knows of its machine that goes on with it. */
export interface Known {
  readonly token: string;
  readonly slots?: string;
}

/** A machine's disk, and what is known of it from one start to the next. */
export interface Disk {
  /** Where it is, and what else a run keeps. */
  readonly dir: string;
  readonly path: string;
  /** Starts it, or another one, and awaits that it serves. */
  boot(other?: string): Promise<Vm>;
  /** Starts one, and awaits nothing. */
  start(other: string): Promise<Vm>;
  known(): Known | null;
  note(known: Known): void;
}

const keptDir = process.env["FAZT_KEPT"] ?? null;

export async function withDisk(kinds: readonly Kind[], work: (disk: Disk) => Promise<void>) {
  const dir = keptDir ?? mkdtempSync(join(tmpdir(), "fazt-upgrade-"));
  const path = join(dir, "disk.qcow2");
  const notes = join(dir, "known.json");
  try {
    const cdrom = await releaseDisc(dir, kinds);
    const disk = existsSync(path) ? path : await makeVmDisk(path);
    const known = () =>
      existsSync(notes) ? (JSON.parse(readFileSync(notes, "utf8")) as Known) : null;
    const note = (what: Known) => writeFileSync(notes, JSON.stringify(what));
    const start = (other: string) => {
      const firmware = process.env["FAZT_FIRMWARE"] === "uefi" ? "uefi" : "bios";
      const surplus = { cdrom, probe: attachReleases, watchdog: true };
      const processors = Number(process.env["FAZT_PROCESSORS"] ?? 2);
      return bootVm({ disk: other, firmware, processors, ...surplus });
    };
    const boot = async (other = disk) => {
      const vm = await start(other);
      await vm.up(bootMsMax);
      return vm;
    };
    await work({ dir, path: disk, boot, start, known, note });
  } finally {
    if (keptDir === null) rmSync(dir, { recursive: true, force: true });
  }
}

export async function owned(vm: Vm): Promise<Owned> {
  const at = { vm, token: await claim(vm) };
  await deploy(vm, at.token, { name: "one", server });
  await visit(vm, "one");
  return at;
}
