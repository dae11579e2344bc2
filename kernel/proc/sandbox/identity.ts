/**
 * Who an app is to the host: a user id of its own, the same at every start, under a root kernel.
 * Any other kernel has one user id to give, its own.
 *
 * The ids live in one user namespace that all sandboxes enter: it maps them to themselves and maps
 * root's files, so that bubblewrap can bind from the data directory, which is root's alone. Root
 * itself has no name in it, and bubblewrap leaves no capability in it to anybody.
 */
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { setupMsMax } from "./limits.ts";

/** Ids 0x70000000 to 0x7fffffff: above every range that distributions and containers hand out. */
const firstId = 0x70000000;
const idCount = 0x10000000;
/** Root's name in the namespace: not 0, or changing from it would drop what set-up needs. */
const rootAs = 1;

/** The user and group id of an app on the host: 28 bits of a hash of its id. */
export function appUid(appId: string): number {
  const hash = new Bun.CryptoHasher("sha256").update(appId).digest();
  return firstId + (hash.readUInt32LE(0) % idCount);
}

/** The children of a process; none when it is gone. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return text === "" ? [] : text.split(" ").map(Number);
  } catch {
    return []; // it has just exited, or the host has no /proc
  }
}

/** Waits, at the kernel's start of its first app only, until the process has a child. */
function firstChild(pid: number): number {
  for (let waitedMs = 0; waitedMs < setupMsMax; waitedMs++) {
    const [child] = childrenOf(pid);
    if (child !== undefined) return child;
    Bun.sleepSync(1);
  }
  throw new Error("bubblewrap made no process");
}

/**
 * A descriptor of the namespace of all apps' ids, or why this kernel may not make it. It is that of
 * a bubblewrap which waits for its map, and is killed once the namespace is held here.
 */
export function openIdentities(bwrap: string): { fd: number } | { why: string } {
  if (process.getuid?.() !== 0) return { why: "the kernel is not root" };
  const block = ["--info-fd", "1", "--userns-block-fd", "0"];
  const argv = [bwrap, "--unshare-user", "--bind", "/", "/", ...block, "--", bwrap, "--version"];
  const helper = Bun.spawn(argv, { stdin: "pipe", stdout: "ignore", stderr: "ignore", env: {} });
  let child: number | null = null;
  try {
    child = firstChild(helper.pid);
    const map = `${rootAs} 0 1\n${firstId} ${firstId} ${idCount}\n`;
    writeFileSync(`/proc/${child}/uid_map`, map);
    writeFileSync(`/proc/${child}/gid_map`, map);
    return { fd: openSync(`/proc/${child}/ns/user`, "r") };
  } catch (error) {
    return { why: (error as Error).message };
  } finally {
    if (child !== null) process.kill(child, "SIGKILL");
    helper.kill("SIGKILL");
  }
}
