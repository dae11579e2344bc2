/**
 * How this very program is started again as an app's process: the compiled binary by its own path,
 * a checkout by the runtime it was started with. Nothing of the working directory is read: no
 * `.env`, no bunfig, no package is installed.
 */
import type { Launcher } from "../kernel/proc/mod.ts";

/** Bun's virtual root: what `import.meta.path` begins with inside a compiled binary. */
const embeddedRoot = "/$bunfs/";

export function launcher(): Launcher {
  if (import.meta.path.startsWith(embeddedRoot))
    return { command: [process.execPath, "app-child"], reads: [] };
  const flags = ["--no-env-file", "--config=/dev/null", "--no-install"];
  const main = new URL("./main.ts", import.meta.url).pathname;
  const reads = ["./", "../kernel/"].map((path) => new URL(path, import.meta.url).pathname);
  return { command: [process.execPath, ...flags, main, "app-child"], reads };
}
