/**
 * How the machine is: the one judgement behind `GET /sys/health`, `/sys/metrics` and the pseudo
 * files `/sys/{health,metrics,version}`.
 */
import type { Kernel } from "../kernel.ts";
import type { CallStats } from "./dispatch.ts";

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

/** Label values may hold anything an app's name or a call's name can; escape as OpenMetrics says. */
const label = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly samples: readonly { readonly labels: string; readonly value: number }[];
}

function render(family: Family): string {
  const suffix = family.type === "counter" ? "_total" : "";
  const samples = family.samples.map(
    ({ labels, value }) => `${family.name}${suffix}${labels} ${value}`,
  );
  return [
    `# TYPE ${family.name} ${family.type}`,
    `# HELP ${family.name} ${family.help}`,
    ...samples,
  ].join("\n");
}

/** Everything counted, as OpenMetrics text (OpenMetrics 1.0). */
export function metrics(kernel: Kernel, calls: readonly CallStats[], bootedAtMs: number): string {
  const storage = kernel.storage.status();
  const net = kernel.net.status();
  const one = (value: number) => [{ labels: "", value }];
  const perApp = (pick: (row: ReturnType<Kernel["proc"]["ls"]>[number]) => number) =>
    kernel.proc.ls().map((row) => ({ labels: `{app="${label(row.name)}"}`, value: pick(row) }));
  const perCall = (pick: (row: CallStats) => number) =>
    calls.map((row) => ({ labels: `{call="${label(row.name)}"}`, value: pick(row) }));
  const uptimeS = (kernel.machine.monotonicMs() - bootedAtMs) / 1000;
  const families: Family[] = [
    { name: "fazt_uptime_seconds", type: "gauge", help: "Since boot.", samples: one(uptimeS) },
    { name: "fazt_http_requests", type: "counter", help: "HTTP.", samples: one(net.requests) },
    { name: "fazt_websockets", type: "gauge", help: "Open now.", samples: one(net.webSockets) },
    { name: "fazt_writes", type: "counter", help: "Durable.", samples: one(storage.writes) },
    { name: "fazt_commits", type: "counter", help: "Groups.", samples: one(storage.commits) },
    {
      name: "fazt_database_bytes",
      type: "gauge",
      help: "Size of data.db.",
      samples: one(storage.databaseBytes),
    },
    {
      name: "fazt_app_requests",
      type: "counter",
      help: "Requests that reached the app's process.",
      samples: perApp((row) => row.requests),
    },
    {
      name: "fazt_app_resident_bytes",
      type: "gauge",
      help: "Resident memory of the app's process.",
      samples: perApp((row) => row.rssBytes),
    },
    {
      name: "fazt_app_restarts",
      type: "counter",
      help: "Unplanned restarts.",
      samples: perApp((row) => row.restarts),
    },
    {
      name: "fazt_calls",
      type: "counter",
      help: "System calls made.",
      samples: perCall((row) => row.count),
    },
    {
      name: "fazt_call_errors",
      type: "counter",
      help: "System calls refused or failed.",
      samples: perCall((row) => row.errors),
    },
  ];
  return `${families.map(render).join("\n")}\n# EOF\n`;
}
