// Certificates as the shell page tells of them.
import { expect, test } from "bun:test";
import { goodText, troubles } from "../../image/os/cert.js";

const hourMs = 3_600_000;
const now = 1_000_000 * hourMs;

type Cert = Parameters<typeof goodText>[0][number];

const cert = (more: Partial<Cert>): Cert => ({
  name: "a.org",
  issuer: "acme",
  state: "good",
  expiresAt: now + 60 * 24 * hourMs,
  nextAt: now + 30 * 24 * hourMs,
  problem: null,
  ...more,
});

test("what is good is counted, with the next renewal; the machine's own is not among them", () => {
  const self = cert({ issuer: "self", name: "self-signed" });
  expect(goodText([self], now)).toBe("");
  expect(goodText([self, cert({})], now)).toBe(
    "1 certificate is good; the next renewal is in 30 d.",
  );
  const soon = cert({ nextAt: now + 2 * hourMs });
  expect(goodText([cert({}), soon], now)).toBe(
    "2 certificates are good; the next renewal is in 2 h.",
  );
  expect(goodText([cert({ nextAt: now - 1 })], now)).toContain("due now");
  expect(goodText([cert({ state: "failing" })], now)).toBe("");
});

test("what is not good is told with its reason, the worst first", () => {
  const problem = { at: now - hourMs, text: "no such name" };
  const coming = cert({ name: "new.org", state: "coming", expiresAt: null, nextAt: now });
  const failing = cert({ name: "f.org", state: "failing", problem, nextAt: now + hourMs });
  const first = cert({ name: "x.org", state: "failing", problem, expiresAt: null, nextAt: now });
  const expired = cert({
    name: "old.org",
    state: "expired",
    problem,
    expiresAt: now - 5 * hourMs,
    nextAt: now + hourMs / 2,
  });
  const late = cert({ name: "l.org", state: "failing", problem, expiresAt: now + 3 * hourMs });
  const told = troubles([coming, cert({}), failing, first, late, expired], now);
  expect(told.map(({ name, reason, next }) => [name, reason, next])).toEqual([
    ["old.org", "no such name", "It ended 5 h ago, tried again in 30 min."],
    ["f.org", "no such name", "The one in use is good for 60 d, tried again in 1 h."],
    ["x.org", "no such name", "Tried again now."],
    ["l.org", "no such name", "Only 3 h left, tried again in 30 d."],
    ["new.org", "", ""],
  ]);
});
