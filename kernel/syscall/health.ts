/**
 * How the machine is: the one judgement behind `GET /sys/health` and the pseudo file `/sys/health`.
 */
import type { Kernel } from "../kernel.ts";

/** Highest mode the machine is able to hold (design: survival over service). */
export type Mode = "ok" | "degraded" | "read-only" | "cockpit-only";

export interface Health {
  readonly status: Mode;
  readonly version: string;
  readonly uptimeMs: number;
  /** `setup` until the machine is claimed. */
  readonly mode: "setup" | "normal" | "read-only";
}

/** The state of the machine now. */
export function health(kernel: Kernel, bootedAtMs: number): Health {
  const readOnly = kernel.storage.status().mode === "read-only";
  const claimed = kernel.security.owner() !== null;
  return {
    status: readOnly ? "read-only" : "ok",
    version: kernel.version,
    uptimeMs: Math.round(kernel.machine.monotonicMs() - bootedAtMs),
    mode: readOnly ? "read-only" : claimed ? "normal" : "setup",
  };
}
