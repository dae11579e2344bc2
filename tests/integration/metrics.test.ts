/** What is measured of apps: `/sys/metrics` read by a parser that is not ours, `proc.top`. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { deployed, okServer } from "../deployed.ts";
import { type TestKernel, testKernel } from "../kernel.ts";
import { run } from "../process.ts";

const meta = { id: "req_1", address: "192.0.2.7", userId: null, upgrade: null };
const parser = "/usr/lib/python3/dist-packages/prometheus_client/openmetrics/parser.py";

/** Reads OpenMetrics and prints every sample as JSON; fails on anything the standard forbids. */
const script = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = text_string_to_metric_families(sys.stdin.read())
print(json.dumps([[f.name, f.type, s.name, s.labels, s.value] for f in families for s in f.samples]))
`;

type Sample = [family: string, type: string, name: string, labels: Record<string, string>, number];

async function measured(k: TestKernel): Promise<string> {
  const { stream } = await k.call<{ stream: ReadableStream }>("fs.read", { path: "/sys/metrics" });
  return await new Response(stream).text();
}

async function appWithRequests(k: TestKernel, count: number): Promise<void> {
  await deployed(k, "seen", {
    files: { "server.js": okServer },
    manifest: { server: "server.js" },
  });
  await deployed(k, "site", { files: { "public/index.html": "hi" } });
  for (let i = 0; i < count; i++) {
    await k.kernel.proc.fetch(k.kernel.app.get("seen"), new Request("http://seen/"), meta);
  }
}

const why = existsSync(parser) ? "" : " (skipped: python3-prometheus-client is not installed)";

test.skipIf(why !== "")(`the metrics are OpenMetrics, and true${why}`, async () => {
  await using k = await testKernel();
  await appWithRequests(k, 20);
  const { code, stdout, stderr } = await run(["/usr/bin/python3", "-c", script], {
    stdin: await measured(k),
  });
  expect([code, stderr]).toEqual([0, ""]);
  const samples = JSON.parse(stdout) as Sample[];
  const value = (name: string, labels: Record<string, string> = {}) =>
    samples.find(([, , sample, has]) => sample === name && Bun.deepEquals(has, labels))?.[4];
  const app = { app: "seen" };
  expect(value("fazt_app_requests_total", app)).toBe(20);
  expect(value("fazt_app_latency_seconds_count", app)).toBe(20);
  expect(value("fazt_app_latency_seconds_bucket", { ...app, le: "+Inf" })).toBe(20);
  expect(value("fazt_app_restarts_total", app)).toBe(0);
  expect(value("fazt_app_state", { ...app, fazt_app_state: "running" })).toBe(1);
  expect(value("fazt_app_cpu_seconds_total", app)).toBeGreaterThan(0);
  const own = value("fazt_app_memory_bytes", app) ?? 0;
  expect(own).toBeGreaterThan(500_000);
  expect(value("fazt_app_resident_bytes", app)).toBeGreaterThan(own);
  expect(value("fazt_app_requests_total", { app: "site" })).toBeUndefined();
  expect(samples.some(([family]) => family === "fazt_calls")).toBe(true);
  const other = { route: "(other)" };
  expect(value("fazt_route_requests_total", other)).toBe(0);
  expect(value("fazt_route_latency_seconds_bucket", { ...other, le: "+Inf" })).toBe(0);
  expect(value("fazt_connections_ended_total", { reason: "head" })).toBe(0);
});

test("top shows what was used between two looks, and ends with its reader", async () => {
  await using k = await testKernel();
  await appWithRequests(k, 1);
  const leaving = new AbortController();
  const rows = await k.call<AsyncIterable<Record<string, unknown>>>(
    "proc.top",
    { follow: true, everyMs: 100 },
    { signal: leaving.signal },
  );
  let looks = 0;
  for await (const row of rows) {
    if (row["app"] === "kernel") {
      expect(row).toMatchObject({ pid: process.pid, requestsPerS: null });
      expect(row["memoryBytes"]).toBeGreaterThan(1_000_000);
      continue;
    }
    expect(row).toMatchObject({ app: "seen", state: "running", restarts: 0 });
    expect(row["memoryBytes"]).toBeGreaterThan(500_000);
    if (looks++ === 0) expect(row["requestsPerS"]).toBe(0);
    if (looks === 1) {
      await k.kernel.proc.fetch(k.kernel.app.get("seen"), new Request("http://seen/"), meta);
    }
    if (looks === 2) {
      expect(row["requestsPerS"]).toBeGreaterThan(0);
      expect(row["p99Ms"]).toBeGreaterThan(0);
      leaving.abort();
    }
  }
  expect(looks).toBe(2);
});
