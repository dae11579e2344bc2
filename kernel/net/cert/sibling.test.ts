/** Which other spellings of a host get a certificate, by what DNS says of them. */
import { describe, expect, test } from "bun:test";
import { clock } from "../../../tests/clock.ts";
import { startNameServer } from "../../../tests/name-server.ts";
import { siblingEveryMs } from "./limits.ts";
import { createSiblings, isLed, whereOf } from "./sibling.ts";

const bare = { host: "x.net", name: "www.x.net", primary: false };
const here = ["192.0.2.1", "2001:db8::1"];

describe("it is led here", () => {
  test.each([
    ["both at one address, a zone", bare, { host: here, name: ["192.0.2.1"], zone: true }, true],
    ["no zone", bare, { host: here, name: here, zone: false }, false],
    ["no zone that can be told", bare, { host: here, name: here, zone: null }, null],
    [
      "no zone, but the primary host",
      { ...bare, primary: true },
      { host: here, name: here, zone: false },
      true,
    ],
    [
      "the bare name of a www",
      { host: "www.x.net", name: "x.net", primary: false },
      { host: here, name: here, zone: false },
      true,
    ],
    ["elsewhere", bare, { host: here, name: ["192.0.2.9"], zone: true }, false],
    ["nowhere", bare, { host: here, name: [], zone: true }, false],
    ["the host itself nowhere", bare, { host: [], name: here, zone: true }, false],
    ["nobody answers", bare, { host: here, name: null, zone: null }, null],
    ["nobody answers for the host", bare, { host: null, name: here, zone: true }, null],
  ])("%s", (_what, sibling, seen, verdict) => {
    expect(isLed(sibling, seen)).toBe(verdict);
  });
});

test.each([
  ["here", { host: here, name: here, zone: true }],
  ["no zone", { host: here, name: here, zone: false }],
  ["elsewhere", { host: here, name: ["192.0.2.9"], zone: true }],
  ["nowhere", { host: here, name: [], zone: true }],
  ["unknown", { host: here, name: null, zone: null }],
] as const)("who asks why is told: %s", (where, seen) => {
  expect(whereOf(bare, seen)).toBe(where);
});

test("what DNS leads here is found; what cannot be asked for stays what it was", async () => {
  const time = clock();
  const names = await startNameServer(["x.net"]);
  names.missing.add("www.sub.x.net");
  let told = Promise.withResolvers<void>();
  let server = names.address;
  const siblings = createSiblings({
    machine: time.machine,
    resolver: () => server,
    kept: (name) => name === "www.kept.net",
    changed: () => told.resolve(),
  });
  try {
    const sub = { host: "sub.x.net", name: "www.sub.x.net", primary: true };
    siblings.look([sub, bare]);
    expect(siblings.found()).toEqual([]);
    await told.promise;
    expect(siblings.found()).toEqual(["www.x.net"]);
    // A record that comes later is seen at the next look.
    told = Promise.withResolvers();
    names.missing.delete("www.sub.x.net");
    time.pass(siblingEveryMs);
    await told.promise;
    expect(siblings.found()).toEqual(["www.sub.x.net", "www.x.net"]);
    // Nobody is there to be asked any more: what had a certificate is not given up for that.
    await names[Symbol.asyncDispose]();
    told = Promise.withResolvers();
    const kept = { host: "kept.net", name: "www.kept.net", primary: false };
    server = names.address;
    siblings.look([bare, kept]);
    expect(siblings.found()).toEqual(["www.x.net", "www.kept.net"]);
    siblings.look([]);
    expect(siblings.found()).toEqual([]);
  } finally {
    siblings.close();
  }
});
