/**
 * Whoever ends the apps when the kernel itself is killed. An app with a user id of its own does not
 * get the signal of its parent's death (bubblewrap's other half may not signal it), and an app in
 * an endless loop does not see its socket close: a shell that reads the kernel's pipe to its end
 * kills what it was told of, and ends.
 */
import type { FileSink } from "bun";

export interface Reaper {
  /** Knows of a process from now on. */
  add(pid: number): void;
  /** The process is gone: its number may be another's soon. */
  remove(pid: number): void;
  /** Ends it: nothing runs any more. */
  close(): void;
}

const script = `trap '' INT TERM HUP
all=
while read -r word pid; do
  rest=
  for one in $all; do [ "$one" = "$pid" ] || rest="$rest $one"; done
  [ "$word" = add ] && rest="$rest $pid"
  all=$rest
done
[ -z "$all" ] || kill -9 $all 2>/dev/null`;

/** A reaper that starts with the first process. Null where the host has no shell. */
export function createReaper(): Reaper | null {
  const shell = Bun.which("sh", { PATH: "/bin:/usr/bin" });
  if (shell === null) return null;
  let pipe: FileSink | null = null;
  const open = (): FileSink => {
    const child = Bun.spawn([shell, "-c", script], {
      stdio: ["pipe", "ignore", "ignore"],
      env: {},
      cwd: "/",
      // In a session of its own: a terminal's Ctrl-C is the kernel's to hear.
      detached: true,
    });
    child.unref();
    return child.stdin;
  };
  const tell = (line: string) => {
    pipe ??= open();
    pipe.write(`${line}\n`);
    void pipe.flush();
  };
  return {
    add: (pid) => tell(`add ${pid}`),
    remove: (pid) => tell(`remove ${pid}`),
    close: () => {
      void pipe?.end();
      pipe = null;
    },
  };
}
