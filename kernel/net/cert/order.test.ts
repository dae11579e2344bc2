/** The state machine of an order, as a table: every state with every event, and what must hold. */
import { describe, expect, test } from "bun:test";
import { failureMsFirst, failureMsMax, transientTriesMax } from "./limits.ts";
import {
  actionOf,
  advance,
  dueAt,
  type Event,
  newOrder,
  type Order,
  type Proof,
  type Seen,
  type Step,
} from "./order.ts";

const moment = { now: 1_000_000, chance: 0.5 };
const proof = (name: string, answered = false, kind: Proof["kind"] = "dns-01"): Proof => ({
  name,
  kind,
  url: `u-${name}`,
  token: `t-${name}`,
  value: "v",
  answered,
});
const proofs = [proof("a"), proof("b")];
const url = "o";

const steps: Record<string, Step> = {
  waiting: { kind: "waiting", leftovers: [] },
  leaving: { kind: "waiting", leftovers: proofs },
  planned: { kind: "planned" },
  ordered: { kind: "ordered", url },
  setting: { kind: "setting", url, proofs },
  answering: { kind: "answering", url, proofs },
  checking: { kind: "checking", url, proofs },
  finalizing: { kind: "finalizing", url, proofs },
  issued: { kind: "issued", url, proofs, certificate: "c" },
};
const at = (step: string, more: Partial<Order> = {}): Order => ({
  step: steps[step] ?? { kind: "planned" },
  at: 500,
  tries: 0,
  problem: null,
  ...more,
});
const seen = (status: Seen["status"], more: Partial<Seen> = {}): Event => ({
  kind: "seen",
  seen: { status, proofs: [], certificate: null, error: null, retryAfterMs: null, ...more },
});
const failed = (transient: boolean, retryAfterMs: number | null = null): Event => ({
  kind: "failed",
  text: "why",
  transient,
  retryAfterMs,
});

test("each state asks for one thing", () => {
  expect(Object.keys(steps).map((step) => `${step}: ${actionOf(at(step))}`)).toEqual([
    "waiting: plan",
    "leaving: unset",
    "planned: order",
    "ordered: look",
    "setting: set",
    "answering: answer",
    "checking: look",
    "finalizing: finalize",
    "issued: download",
  ]);
});

test("the way of an order that nothing hinders", () => {
  const events: Event[] = [
    { kind: "due" },
    { kind: "ordered", url },
    seen("pending", { proofs }),
    { kind: "set" },
    { kind: "answered" },
    seen("pending", { proofs: [proof("a", true)] }),
    seen("ready"),
    seen("processing"),
    seen("valid", { certificate: "c" }),
    { kind: "installed", renewAt: 9_000_000 },
    { kind: "unset" },
  ];
  const kinds: string[] = [];
  let order = newOrder(0);
  for (const event of events) {
    order = advance(order, event, moment);
    kinds.push(order.step.kind);
  }
  expect(kinds).toEqual([
    "planned",
    "ordered",
    "setting",
    "answering",
    "checking",
    "checking",
    "finalizing",
    "finalizing",
    "issued",
    "waiting",
    "waiting",
  ]);
  expect(order).toEqual({
    step: { kind: "waiting", leftovers: [] },
    at: 9_000_000,
    tries: 0,
    problem: null,
  });
});

describe("what an authority says of an order that was lost sight of", () => {
  test.each([
    ["ordered", "ready", "finalizing"],
    ["ordered", "processing", "finalizing"],
    ["ordered", "valid", "finalizing"],
    ["setting", "ready", "finalizing"],
    ["answering", "ready", "finalizing"],
    ["finalizing", "pending", "checking"],
    ["finalizing", "ready", "finalizing"],
    ["checking", "invalid", "waiting"],
  ] as const)("%s, and it is %s: %s", (step, status, next) => {
    expect(advance(at(step), seen(status), moment).step.kind).toBe(next);
  });

  test("what has not been answered is answered, and no record is forgotten", () => {
    const event = seen("pending", { proofs: [proof("b")] });
    const { step } = advance(at("checking"), event, moment);
    expect(step).toEqual({ kind: "answering", url, proofs: [proof("a", true), proof("b")] });
  });
});

describe("failures", () => {
  test("one that may pass keeps the state and comes back; after some, the order is given up", () => {
    for (const step of ["planned", "ordered", "setting", "answering", "checking", "finalizing"]) {
      let order = at(step);
      for (let i = 0; i < transientTriesMax; i++) {
        const next = advance(order, failed(true), moment);
        expect(next.step).toEqual(order.step);
        expect(next.at).toBeGreaterThan(moment.now);
        order = next;
      }
      expect(advance(order, failed(true), moment).step.kind).toBe("waiting");
    }
  });

  test("one for good waits, longer each time, never longer than half a day; and says why", () => {
    let order = at("ordered");
    let before = 0;
    for (let i = 0; i < 30; i++) {
      order = advance({ ...order, step: { kind: "planned" } }, failed(false), moment);
      const waitMs = order.at - moment.now;
      expect(waitMs).toBeGreaterThanOrEqual(before);
      before = waitMs;
    }
    expect(before).toBe(failureMsMax);
    expect(order.problem).toEqual({ at: moment.now, text: "why" });
    expect(advance(at("ordered"), failed(false), moment).at - moment.now).toBe(failureMsFirst);
  });

  test("an authority that names a time is heard", () => {
    const { at: next } = advance(at("planned"), failed(true, 3_600_000), moment);
    expect(next).toBe(moment.now + 3_600_000);
    const polled = advance(at("checking"), seen("pending", { retryAfterMs: 7_000 }), moment);
    expect(polled.at).toBe(moment.now + 7_000);
  });

  test("records that were set are taken away, at once; what HTTP shows needs nothing", () => {
    const order = advance(at("checking"), failed(false), moment);
    expect(order.step).toEqual({ kind: "waiting", leftovers: proofs });
    expect(dueAt(order)).toBe(0);
    const http: Step = { kind: "checking", url, proofs: [proof("a", true, "http-01")] };
    const plain = advance(at("checking", { step: http }), failed(false), moment);
    expect(plain.step).toEqual({ kind: "waiting", leftovers: [] });
  });

  test("a record that cannot be taken away changes nothing of the next order", () => {
    const order = at("leaving", { at: 9_000_000 });
    expect(advance(order, failed(true), moment)).toEqual({
      ...order,
      step: { kind: "waiting", leftovers: [] },
    });
  });
});

test("an event that does not fit changes nothing", () => {
  const events: Record<string, Event> = {
    due: { kind: "due" },
    ordered: { kind: "ordered", url: "x" },
    seen: seen("ready"),
    set: { kind: "set" },
    answered: { kind: "answered" },
    installed: { kind: "installed", renewAt: 1 },
    unset: { kind: "unset" },
  };
  const fits: Record<string, string[]> = {
    due: ["waiting", "leaving"],
    ordered: ["planned"],
    seen: ["ordered", "setting", "answering", "checking", "finalizing"],
    set: ["setting"],
    answered: ["answering"],
    installed: ["issued"],
    unset: ["waiting", "leaving"],
  };
  for (const [name, event] of Object.entries(events)) {
    for (const step of Object.keys(steps)) {
      if (fits[name]?.includes(step) === true) continue;
      expect(advance(at(step), event, moment)).toEqual(at(step));
    }
  }
});
