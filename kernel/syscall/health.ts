/**
 * How the machine is: the one judgement behind `GET /sys/health` and the pseudo file `/sys/health`.
 */
import type { Kernel } from "../kernel.ts";
import type { Mode } from "../proc/mode/mod.ts";

/** What is left of the machine (design: survival over service); the contract's words. */
export type HealthStatus = "ok" | "degraded" | "read-only" | "cockpit-only";

export interface Health {
  readonly status: HealthStatus;
  readonly version: string;
  readonly uptimeMs: number;
  /** `setup` until the machine is claimed; then the mode. */
  readonly mode: "setup" | Mode;
  /** Apps' sandbox on this host; `unknown` before the first app with server code has started. */
  readonly isolation: "full" | "reduced" | "none" | "unknown";
}

/** How a mode is told to those who watch the machine: on its way down it is its cockpit alone. */
const statuses: Readonly<Record<Mode, HealthStatus>> = {
  normal: "ok",
  degraded: "degraded",
  "read-only": "read-only",
  "cockpit-only": "cockpit-only",
  emergency: "cockpit-only",
};

/** The state of the machine now. */
export function health(kernel: Kernel, bootedAtMs: number): Health {
  const { mode } = kernel.mode.now();
  const setup = mode === "normal" && kernel.security.owner() === null;
  return {
    // A certificate that is about to run out is the machine's own matter, long before visitors see it.
    status: mode === "normal" && kernel.net.certs.overdue() ? "degraded" : statuses[mode],
    version: kernel.version,
    uptimeMs: Math.round(kernel.machine.monotonicMs() - bootedAtMs),
    mode: setup ? "setup" : mode,
    isolation: isolationOf(kernel),
  };
}

/** In one word, because anybody may read it; `proc status` has the words for the owner. */
function isolationOf({ proc }: Kernel): Health["isolation"] {
  const known = proc.knownSandbox();
  if (known === null) return "unknown";
  if (known.kind === "none") return "none";
  return known.lacks.length === 0 ? "full" : "reduced";
}
