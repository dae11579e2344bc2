/**
 * `/sys/`: the machine's state as files, as in Unix: `health`, `limits` and `version` as
 * `name: value` lines, `metrics` as OpenMetrics text; the facts of the documents under `/sys/`.
 */
import { pseudo } from "../fs/mod.ts";
import type { Kernel } from "../kernel.ts";
import type { Dispatcher } from "./dispatch.ts";
import { health } from "./health.ts";
import { limitList } from "./limit-list.ts";
import { metrics } from "./metrics.ts";

/** Attaches it to the tree. Once a kernel. */
export function mountSysfs(kernel: Kernel, dispatcher: Dispatcher, bootedAtMs: number): void {
  const fields = (of: object) =>
    Object.entries(of)
      .map(([name, value]) => `${name}: ${value}\n`)
      .join("");
  const entries = {
    health: () => fields(health(kernel, bootedAtMs)),
    limits: () => fields(limitList([...kernel.storage.limits.ls(), ...kernel.net.limits.ls()])),
    metrics: () => metrics(kernel, dispatcher.stats(), bootedAtMs),
    version: () => `${kernel.version}\n`,
  };
  kernel.fs.mount("/sys", pseudo(entries));
}
