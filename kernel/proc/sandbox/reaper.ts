/**
 * Whoever ends the apps when the kernel itself is killed: a process that holds the other end of a
 * pipe of the kernel's. When the kernel ends, whatever the reason, the pipe ends; the reaper then
 * kills the group of all apps until it is empty and gone, and lets go of their mounts. What else the
 * kernel had started leaves the groups that share processors out, so that these go as well.
 *
 * Rules: it is started before the first process of an app and told of none: it knows the group that
 * every one of them is born in. It is in no group of the kernel's or a terminal's, so that what
 * ends those does not end it.
 */
import { assert } from "../../assert.ts";

export interface Reaper {
  /** Ends it, in order: what it would do is done now. Resolves when it is done. */
  close(): Promise<void>;
}

/** Kills and removes again and again, because a process may be born while its group is killed. */
const script = `trap '' INT TERM HUP
[ -n "$1" ] && [ -n "$2" ] || exit 2
read -r word
for mount in "$2"/*; do umount -l "$mount" && rmdir "$mount"; done
rmdir "$2"
tries=0
cpu="\${3:-$1}"
while [ -d "$1" ] || [ -d "$cpu" ] && [ $tries -lt 500 ]; do
  echo 1 >"$1/cgroup.kill"
  [ -z "$3" ] || for group in "$3"/*/; do
    while read -r pid; do echo "$pid" >"$3/../cgroup.procs"; done <"$group/cgroup.procs"
  done
  for group in "$1"/*/ "$cpu"/*/; do rmdir "$group"; done
  rmdir "$1" "$cpu"
  tries=$((tries + 1))
  [ $tries -eq 1 ] || sleep 0.02
done`;

/**
 * What it is started for: a group, a directory of mounts, a group of version 1 that shares
 * processors out ("" for none), and this program's own command.
 */
export interface ReaperOptions {
  readonly groupDir: string;
  readonly tmpDir: string;
  readonly cpuDir: string;
  readonly program: readonly string[];
}

/** Throws unless it is a place below the root: what the reaper is told it empties as root. */
export function assertPlace(path: string): void {
  assert(/^\/[^/]+\/./.test(path), `"${path}" is a directory that a reaper may empty`);
}

/** Starts it: a shell, or this program itself where the host has none (`child.ts`). */
export function createReaper({ groupDir, tmpDir, cpuDir, program }: ReaperOptions): Reaper {
  for (const place of [groupDir, tmpDir, ...(cpuDir === "" ? [] : [cpuDir])]) assertPlace(place);
  const shell = Bun.which("sh", { PATH: "/bin:/usr/bin" });
  const begun = shell === null ? [...program, "reaper"] : [shell, "-c", script, "fazt-reaper"];
  const child = Bun.spawn([...begun, groupDir, tmpDir, cpuDir], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    cwd: "/",
    // In a session of its own: a terminal's Ctrl-C is the kernel's to hear.
    detached: true,
  });
  child.unref();
  return {
    close: async () => {
      await child.stdin.end();
      await child.exited;
    },
  };
}
