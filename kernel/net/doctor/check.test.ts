/** The doctor's judgement: what is well, what is not, and that every fault says what to do. */
import { expect, test } from "bun:test";
import { diagnose, type Observed } from "./check.ts";

const well: Observed = {
  host: "blog.fazt-zone.net",
  holder: 'app "blog"',
  addresses: ["192.0.2.1"],
  own: ["127.0.0.1", "192.0.2.1"],
  http: "us",
  https: "us",
  caa: null,
  issuer: "letsencrypt.org",
  certificate: { state: "good", expiresAt: Date.UTC(2030, 0, 1), problem: null },
  aheadMs: 500,
};

/** The checks that are not simply well, as `check: ok`. */
const faults = (change: Partial<Observed>): string[] =>
  diagnose({ ...well, ...change })
    .filter(({ ok }) => ok !== true)
    .map(({ check, ok }) => `${check}: ${ok}`);

test("a host that is well has seven lines, all well, and nothing to do", () => {
  const found = diagnose(well);
  expect(found.map(({ check }) => check)).toEqual([
    "route",
    "dns",
    "http",
    "https",
    "caa",
    "certificate",
    "clock",
  ]);
  expect(found.every(({ ok, hint }) => ok === true && hint === null)).toBe(true);
});

test("a port of this machine at which nobody listens is no matter of firewalls", () => {
  const hintOf = (change: Partial<Observed>) =>
    diagnose({ ...well, http: { why: "ECONNREFUSED" }, ...change }).find(
      ({ check }) => check === "http",
    )?.hint;
  expect(hintOf({})).toContain("fazt proc start --http :80");
  expect(hintOf({ addresses: ["198.51.100.1"] })).toContain("firewall");
  expect(hintOf({ http: { why: "TimeoutError" } })).toContain("firewall");
});

test.each([
  [{ holder: null }, "route: false"],
  [{ addresses: [] }, "dns: false, http: null, https: null"],
  [{ addresses: null }, "dns: null"],
  [{ addresses: ["198.51.100.1"] }, "dns: null"],
  [{ http: "other" as const }, "http: false"],
  [{ http: { why: "ECONNREFUSED" } }, "http: false"],
  [{ https: { why: "timeout" } }, "https: false"],
  [{ caa: ["other.org"] }, "caa: false"],
  [{ caa: [] }, "caa: false"],
  [{ caa: ["x.org"], issuer: null }, "caa: null"],
  [{ certificate: null }, "certificate: false"],
  [{ certificate: { state: "failing", expiresAt: null, problem: "why" } }, "certificate: false"],
  [{ certificate: { state: "coming", expiresAt: null, problem: null } }, "certificate: null"],
  [{ certificate: { state: "expired", expiresAt: 1, problem: null } }, "certificate: false"],
  [{ aheadMs: -3_600_000 }, "clock: false"],
  [{ aheadMs: null }, "clock: null"],
])("%p is %s", (change, fault) => {
  expect(faults(change).join(", ")).toBe(fault);
  const found = diagnose({ ...well, ...change }).filter(({ ok }) => ok === false);
  for (const { hint } of found) expect(hint).toBeString();
});
