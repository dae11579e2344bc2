/**
 * `/sys/`: the machine's state as files, as in Unix: `health` and `version` as `name: value` lines,
 * `metrics` as OpenMetrics text. The same facts as the documents under `/sys/` over HTTP.
 */
import { pseudo } from "../fs/mod.ts";
import type { Kernel } from "../kernel.ts";
import type { Dispatcher } from "./dispatch.ts";
import { health } from "./health.ts";
import { metrics } from "./metrics.ts";

/** Attaches it to the tree. Once a kernel. */
export function mountSysfs(kernel: Kernel, dispatcher: Dispatcher, bootedAtMs: number): void {
  const entries = {
    health: () => {
      const rows = Object.entries(health(kernel, bootedAtMs));
      return rows.map(([name, value]) => `${name}: ${value}\n`).join("");
    },
    metrics: () => metrics(kernel, dispatcher.stats(), bootedAtMs),
    version: () => `${kernel.version}\n`,
  };
  kernel.fs.mount("/sys", pseudo(entries));
}
