/**
 * The calls of traffic: `net.top`, who is asked for what, live; `net.access`, what the access log
 * says of clients.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { quantileMs } from "../../histogram.ts";
import type { Kernel } from "../../kernel.ts";
import { passed } from "../../machine.ts";
import type { RouteUsage } from "./traffic.ts";

const Row = z.object({
  at: z.int().describe("Unix ms"),
  kind: z.enum(["route", "client"]).describe("what the row is about"),
  name: z.string().describe("host, or the client as the access log names it"),
  requestsPerS: z.number().nullable().describe("answers a second since the last look"),
  bytesPerS: z.number().nullable().describe("bytes a second of bodies whose length was known"),
  errorsPerS: z.number().nullable().describe("answers of 500 and above a second"),
  p50Ms: z.number().nullable().describe("half of the answers began within this, milliseconds"),
  p99Ms: z.number().nullable().describe("99 of 100 answers began within this, milliseconds"),
  connections: z.int().nullable().describe("connections of the client now, idle ones too"),
});

export const top = call({
  summary: "Show what hosts are asked for, over a second or going on",
  manual:
    "One row a host that was asked for since the last look, the busiest first; with follow, again " +
    "after each interval. Clients are among them only where the access log names them " +
    "(fazt net access set --clients network), those with the most connections first.",
  needs: "net:read",
  errors: [],
  effect: "read",
  reply: "lines",
  input: z.object({
    follow: z.boolean().default(false).describe("go on (-f)"),
    everyMs: z.int().min(100).max(60_000).default(1000).describe("interval, milliseconds"),
  }),
  output: Row,
  examples: [{ say: "What are we asked for?", input: { follow: true } }],
  run: (kernel, { signal }, input) => rows(kernel, input, signal),
});

const Settings = z.object({
  clients: z
    .enum(["off", "hash", "network", "full"])
    .describe("what a line says of its client; hash: a word for a day; network: /24 or /48"),
  log: z.boolean().describe("whether lines are written at all"),
});

const show = call({
  summary: "Show what the access log says of clients",
  manual:
    "The lines: fazt proc logs access. Without a query, a header, or more of a client than this.",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: Settings,
  examples: [{ say: "What do we keep of visitors?", input: {} }],
  run: (kernel) => ({ ...kernel.net.privacy.show() }),
});

const set = call({
  summary: "Say what the access log keeps of clients, and whether it is written",
  manual:
    "Only what is given changes. Unless it is off, files that are held in memory get a line each " +
    "as well, which costs a third of their speed.",
  needs: "net:write",
  errors: ["ENOSPC"],
  effect: "write",
  idempotent: true,
  input: z.object({
    clients: Settings.shape.clients.optional(),
    log: z.boolean().optional().describe("false: no lines; what is counted goes on"),
  }),
  output: Settings,
  examples: [{ say: "Tell visitors apart, for a day", input: { clients: "hash" } }],
  run: async (kernel, _invocation, change) => ({ ...(await kernel.net.privacy.set(change)) }),
});

export const access = { show, set };

/** Rows of what was answered between two looks, until the reader goes. */
async function* rows(
  kernel: Kernel,
  { follow, everyMs }: { follow: boolean; everyMs: number },
  signal: AbortSignal,
): AsyncGenerator<z.input<typeof Row>> {
  const { machine, net } = kernel;
  const look = () => ({ atMs: machine.monotonicMs(), routes: net.traffic.routes() });
  let before = look();
  do {
    await passed(machine, everyMs, signal);
    if (signal.aborted) return;
    const now = look();
    const earlier = new Map(before.routes.map((route) => [route.host, route]));
    const span = { at: machine.now(), spanMs: now.atMs - before.atMs };
    const asked = now.routes.filter(
      ({ host, requests }) => requests > (earlier.get(host)?.requests ?? 0),
    );
    yield* asked
      .map((route) => routeRow(route, earlier.get(route.host), span))
      .sort((a, b) => b.requestsPerS - a.requestsPerS);
    for (const { name, connections } of net.traffic.clients()) {
      const nothing = { requestsPerS: null, bytesPerS: null, errorsPerS: null };
      yield {
        at: span.at,
        kind: "client",
        name,
        ...nothing,
        p50Ms: null,
        p99Ms: null,
        connections,
      };
    }
    before = now;
  } while (follow);
}

function routeRow(
  { host: name, requests, bytes, errors, latency }: RouteUsage,
  before: RouteUsage | undefined,
  { at, spanMs }: { at: number; spanMs: number },
) {
  const perS = (now: number, then = 0) => Math.round(((now - then) / spanMs) * 10_000) / 10;
  return {
    at,
    kind: "route" as const,
    name,
    requestsPerS: perS(requests, before?.requests),
    bytesPerS: perS(bytes, before?.bytes),
    errorsPerS: perS(errors, before?.errors),
    p50Ms: quantileMs(0.5, latency, before?.latency),
    p99Ms: quantileMs(0.99, latency, before?.latency),
    connections: null,
  };
}
