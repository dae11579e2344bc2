/**
 * What the reaper does where the host has no shell: this program, in a life of its own that holds
 * nothing but the end of the kernel's pipe. The same as the script in `reaper.ts`, which costs less
 * memory where there is a shell.
 */
import { existsSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openLibc } from "./libc.ts";
import { namesIn } from "./place.ts";
import { remove } from "./processors.ts";
import { assertPlace } from "./reaper.ts";

const tries = 500;
const pauseMs = 20;

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // Gone already, or not yet to be had: the next round tells.
  }
}

/** Waits for the kernel's end, then ends everything in the group. */
export async function runReaper([
  groupDir = "",
  tmpDir = "",
  cpuDir = "",
]: readonly string[]): Promise<void> {
  for (const place of [groupDir, tmpDir, ...(cpuDir === "" ? [] : [cpuDir])]) assertPlace(place);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined);
  await Bun.stdin.text();
  const libc = openLibc();
  for (const name of namesIn(tmpDir)) {
    libc?.unmount(join(tmpDir, name));
    attempt(() => rmdirSync(join(tmpDir, name)));
  }
  attempt(() => rmdirSync(tmpDir));
  const groups = [groupDir, cpuDir];
  for (let count = 0; groups.some(existsSync) && count < tries; count++) {
    attempt(() => writeFileSync(join(groupDir, "cgroup.kill"), "1"));
    for (const name of namesIn(groupDir)) attempt(() => rmdirSync(join(groupDir, name)));
    attempt(() => rmdirSync(groupDir));
    if (cpuDir !== "") remove(cpuDir);
    // tidy: allow banned-call: a process of its own, whose only work this is
    if (groups.some(existsSync)) await Bun.sleep(pauseMs);
  }
}
