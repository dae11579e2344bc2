/**
 * The sandbox: the wall between an app and everybody else. The runtime is none, so it must be whole.
 *
 *     const sandbox = findSandbox(launcher, { insecure: false, runDir, machine });
 *     const command = sandbox.enclose({ appId, releaseDir, entry, volumeDir, ...wants });
 *     const { child, confined } = command.start(stdio, exceeded);
 *     await confined.ready; // only now may the app's code be loaded
 *
 * Where to read: `sandbox.ts` is the seam, `host.ts` what the host can do, `bubblewrap.ts` the
 * command line, `seccomp.ts` what of the system may be called, `identity.ts` whose files and
 * processes an app's are, `wall.ts` what of the disk is its own, `confine.ts` what it may use,
 * `cgroup.ts` and `watch.ts` the two ways to hold it to its memory, `share.ts` its part of the
 * processors, `processors.ts` where older control groups share them out, `reaper.ts` how it dies
 * with the kernel.
 *
 * Invariants
 * 1. An app's process is one process with threads: it starts no other. From its birth on it is in a
 *    group that can be killed whole, and is when the kernel ends, however the kernel ends.
 * 2. It has no capability, gains no privilege, makes no namespace and opens no socket.
 * 3. None of the app's code runs before its limits hold.
 * It never decides whether an app runs, and never reads what an app wrote.
 */
export type { Confined } from "./confine.ts";
export {
  type Command,
  findSandbox,
  type Launcher,
  type ReaderEnclosure,
  type Sandbox,
  type Started,
  type VolumeCommand,
} from "./sandbox.ts";
export { WaitWatch } from "./share.ts";
