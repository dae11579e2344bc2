/**
 * `/sys/`: the machine's state as files, as in Unix: `health`, `limits` and `version` as
 * `name: value` lines, `metrics` as OpenMetrics text; below `limits` each that may be changed, by
 * writing to it; the facts of the documents under `/sys/`.
 */
import { allows } from "../caller.ts";
import { SysError } from "../errno.ts";
import { type Knob, pseudo } from "../fs/mod.ts";
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
  kernel.fs.mount(
    "/sys",
    pseudo(entries, (path) => limitKnob(kernel, path)),
  );
}

/** `/sys/limits/<name>`: one limit, and the way to change it: the call `storage.limit.set`. */
function limitKnob({ storage }: Kernel, path: string): Knob | null {
  const name = /^\/limits\/([^/]+)$/.exec(path)?.[1];
  const found = storage.limits.ls().find((each) => each.name === name);
  if (found === undefined) return null;
  return {
    read: () =>
      ["value", "standard", "least", "most"]
        .map((field) => `${field}: ${found[field as keyof typeof found]}\n`)
        .join(""),
    async write(text, { grants }) {
      if (!allows(grants, "storage:admin")) {
        throw new SysError("EACCES", `cannot set "${found.name}": it needs storage:admin`);
      }
      const value = text === "" || text === "standard" ? null : Number(text);
      if (value !== null && !Number.isFinite(value)) {
        throw new SysError("ERANGE", `cannot set "${found.name}" to "${text}": no number`, {
          hint: `write a number from ${found.least} to ${found.most}, or "standard"`,
        });
      }
      await storage.limits.set(found.name, value);
    },
  };
}
