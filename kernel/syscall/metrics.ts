/**
 * Everything counted, as OpenMetrics text (OpenMetrics 1.0): the machine, each app, each call.
 *
 * Rules: a family's samples stand together under its type; counters never go back while the
 * kernel runs; an app that is static has no process and no samples.
 */

import { boundsS, type Distribution } from "../histogram.ts";
import type { Kernel } from "../kernel.ts";
import type { RouteUsage } from "../net/mod.ts";
import { type AppUsage, states } from "../proc/mod.ts";
import { modes } from "../proc/mode/mod.ts";
import type { CallStats } from "./dispatch.ts";

interface Sample {
  /** `{name="value"}`, or "". */
  readonly labels: string;
  readonly value: number;
  readonly suffix?: string;
}

interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram" | "stateset";
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** Label values may hold anything an app's or a call's name can; escape as OpenMetrics says. */
const label = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

function render(family: Family): string {
  const { name, type, help, samples } = family;
  const ending = type === "counter" ? "_total" : "";
  const unit = /_(seconds|bytes)$/.exec(name)?.[1];
  return [
    `# TYPE ${name} ${type}`,
    ...(unit === undefined ? [] : [`# UNIT ${name} ${unit}`]),
    `# HELP ${name} ${help}`,
    ...samples.map(({ labels, value, suffix }) => `${name}${suffix ?? ending}${labels} ${value}`),
  ].join("\n");
}

const one = (value: number): Sample[] => [{ labels: "", value }];

/** The samples of one histogram: cumulative buckets, count and sum. */
function buckets(
  { name, value }: { readonly name: string; readonly value: string },
  { counts, sumS }: Distribution,
): Sample[] {
  const bounds = [...boundsS.map(String), "+Inf"];
  const inside = bounds.map((bound, at) => ({
    labels: `{${name}="${label(value)}",le="${/^[0-9]+$/.test(bound) ? `${bound}.0` : bound}"}`,
    value: counts[at] ?? 0,
    suffix: "_bucket",
  }));
  const labels = `{${name}="${label(value)}"}`;
  return [
    ...inside,
    { labels, value: counts.at(-1) ?? 0, suffix: "_count" },
    { labels, value: sumS, suffix: "_sum" },
  ];
}

function appFamilies(apps: readonly AppUsage[]): Family[] {
  const per = (pick: (app: AppUsage) => number): Sample[] =>
    apps.map((app) => ({ labels: `{app="${label(app.status.name)}"}`, value: pick(app) }));
  return [
    {
      name: "fazt_app_requests",
      type: "counter",
      help: "Requests that reached the app's process.",
      samples: per(({ status }) => status.requests),
    },
    {
      name: "fazt_app_latency_seconds",
      type: "histogram",
      help: "From a request's way to the process to the head of its reply.",
      samples: apps.flatMap(({ status, latency }) =>
        buckets({ name: "app", value: status.name }, latency),
      ),
    },
    {
      name: "fazt_app_cpu_seconds",
      type: "counter",
      help: "Processor time of all the app's processes.",
      samples: per(({ totalCpuMs }) => totalCpuMs / 1000),
    },
    {
      name: "fazt_app_resident_bytes",
      type: "gauge",
      help: "Resident memory of the app's process, shared pages included.",
      samples: per(({ status }) => status.rssBytes),
    },
    {
      name: "fazt_app_memory_bytes",
      type: "gauge",
      help: "Memory that the app's process holds alone.",
      samples: per(({ ownBytes }) => ownBytes),
    },
    {
      name: "fazt_app_restarts",
      type: "counter",
      help: "Starts after a crash.",
      samples: per(({ status }) => status.restarts),
    },
    {
      name: "fazt_app_state",
      type: "stateset",
      help: "State of the app's process.",
      samples: apps.flatMap(({ status }) =>
        states.map((state) => ({
          labels: `{app="${label(status.name)}",fazt_app_state="${state}"}`,
          value: status.state === state ? 1 : 0,
        })),
      ),
    },
  ];
}

function callFamilies(calls: readonly CallStats[]): Family[] {
  const per = (pick: (row: CallStats) => number): Sample[] =>
    calls.map((row) => ({ labels: `{call="${label(row.name)}"}`, value: pick(row) }));
  return [
    {
      name: "fazt_calls",
      type: "counter",
      help: "System calls made.",
      samples: per(({ count }) => count),
    },
    {
      name: "fazt_call_errors",
      type: "counter",
      help: "System calls refused or failed.",
      samples: per(({ errors }) => errors),
    },
    {
      name: "fazt_call_seconds",
      type: "counter",
      help: "Time in system calls.",
      samples: per(({ totalMs }) => totalMs / 1000),
    },
  ];
}

function routeFamilies(routes: readonly RouteUsage[]): Family[] {
  const per = (pick: (route: RouteUsage) => number): Sample[] =>
    routes.map((route) => ({ labels: `{route="${label(route.host)}"}`, value: pick(route) }));
  return [
    {
      name: "fazt_route_requests",
      type: "counter",
      help: "Answers of a host.",
      samples: per(({ requests }) => requests),
    },
    {
      name: "fazt_route_errors",
      type: "counter",
      help: "Answers of 500 and above.",
      samples: per(({ errors }) => errors),
    },
    {
      name: "fazt_route_body_bytes",
      type: "counter",
      help: "Bytes of bodies whose length was known.",
      samples: per(({ bytes }) => bytes),
    },
    {
      name: "fazt_route_latency_seconds",
      type: "histogram",
      help: "From a request's head to its answer's.",
      samples: routes.flatMap(({ host, latency }) =>
        buckets({ name: "route", value: host }, latency),
      ),
    },
  ];
}

/** The whole text. */
export function metrics(kernel: Kernel, calls: readonly CallStats[], bootedAtMs: number): string {
  const storage = kernel.storage.status();
  const net = kernel.net.status();
  const uptimeS = (kernel.machine.monotonicMs() - bootedAtMs) / 1000;
  const families: Family[] = [
    { name: "fazt_uptime_seconds", type: "gauge", help: "Since boot.", samples: one(uptimeS) },
    { name: "fazt_http_requests", type: "counter", help: "HTTP.", samples: one(net.requests) },
    { name: "fazt_websockets", type: "gauge", help: "Open now.", samples: one(net.webSockets) },
    { name: "fazt_connections", type: "gauge", help: "Open now.", samples: one(net.open) },
    {
      name: "fazt_connections_ended",
      type: "counter",
      help: "Connections the kernel ended, by reason.",
      samples: Object.entries(net.ended).map(([reason, value]) => ({
        labels: `{reason="${reason}"}`,
        value,
      })),
    },
    {
      name: "fazt_mode",
      type: "stateset",
      help: "What the machine can hold.",
      samples: modes.map((mode) => ({
        labels: `{fazt_mode="${mode}"}`,
        value: kernel.mode.now().mode === mode ? 1 : 0,
      })),
    },
    { name: "fazt_writes", type: "counter", help: "Durable.", samples: one(storage.writes) },
    { name: "fazt_commits", type: "counter", help: "Groups.", samples: one(storage.commits) },
    {
      name: "fazt_database_bytes",
      type: "gauge",
      help: "Size of data.db.",
      samples: one(storage.databaseBytes),
    },
    ...routeFamilies(kernel.net.traffic.routes()),
    ...appFamilies(kernel.proc.usage()),
    ...callFamilies(calls),
  ];
  return `${families.map(render).join("\n")}\n# EOF\n`;
}
