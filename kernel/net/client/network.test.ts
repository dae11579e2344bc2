/** Networks, buckets, policies: the pure parts of clients. */
import { describe, expect, test } from "bun:test";
import { realMachine } from "../../machine.ts";
import { createBuckets, draw } from "./bucket.ts";
import { bucketsMax } from "./limits.ts";
import { addressText, bytesOf, clientOf, contains, readNetwork } from "./network.ts";
import { matches, perSecond, plainPath, policiesOf } from "./policy.ts";
import { rank, verdictOf } from "./verdict.ts";

test.each([
  ["203.0.113.7", "203.0.113.7/32"],
  [" 203.0.113.7/24 ", "203.0.113.0/24"],
  ["::ffff:203.0.113.7", "203.0.113.7/32"],
  ["2001:DB8:0:0:1::7/64", "2001:db8::/64"],
  ["::/0", "::/0"],
  ["0.0.0.0/0", "0.0.0.0/0"],
  ["1:0:0:2::3", "1:0:0:2::3/128"],
])("%p is the network %s", (text, network) => {
  expect(readNetwork(text).text).toBe(network);
});

test.each(["", "x", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "::/129", "1.2.3.4/8/8", "example.org"])(
  "%p is no network",
  (text) => {
    expect(() => readNetwork(text)).toThrow("not a network");
  },
);

test("what a network holds", () => {
  const holds = (network: string, address: string) =>
    contains(readNetwork(network), bytesOf(address) ?? new Uint8Array());
  expect(holds("10.0.0.0/9", "10.127.255.255")).toBe(true);
  expect(holds("10.0.0.0/9", "10.128.0.0")).toBe(false);
  expect(holds("2001:db8::/33", "2001:db8:7fff::1")).toBe(true);
  expect(holds("2001:db8::/33", "2001:db8:8000::1")).toBe(false);
  expect(holds("::/0", "1.2.3.4")).toBe(false);
});

test("one client is one address, or one /64", () => {
  expect(clientOf("203.0.113.7")).toBe("203.0.113.7");
  expect(clientOf("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
  expect(clientOf("2001:db8::1")).toBe("2001:db8::/64");
  expect(clientOf("::1")).toBe("::/64");
  expect(addressText(bytesOf("0:0:1::") ?? new Uint8Array())).toBe("0:0:1::");
});

test("the narrowest network decides; loopback is never denied, but may be a proxy", () => {
  const rule = (network: string, verdict: "deny" | "allow" | "proxy") =>
    ({ network, verdict, note: "", endsAt: null, createdAt: 0 }) as const;
  const ranked = rank([
    rule("0.0.0.0/0", "deny"),
    rule("10.0.0.0/8", "allow"),
    rule("10.1.0.0/16", "deny"),
    rule("127.0.0.0/8", "deny"),
    rule("::1/128", "proxy"),
  ]);
  expect(
    ["9.9.9.9", "10.2.0.1", "10.1.0.1", "127.0.0.1", "::1", "2001:db8::1"].map((a) =>
      verdictOf(ranked, a),
    ),
  ).toEqual(["deny", "allow", "deny", null, "proxy", null]);
});

describe("a bucket", () => {
  const bucket = { intervalMs: 500, burst: 4 };
  const drawer = () => {
    let fullAtMs = 0;
    return (nowMs: number) => {
      const drawn = draw(fullAtMs, nowMs, bucket);
      fullAtMs = drawn.fullAtMs ?? fullAtMs;
      return drawn;
    };
  };

  test("gives its burst at once, then one each interval", () => {
    const at = drawer();
    expect([1000, 1000, 1000, 1000].map((now) => at(now).remaining)).toEqual([3, 2, 1, 0]);
    expect(at(1000)).toMatchObject({ fullAtMs: null, waitMs: 500 });
    expect(at(1499).fullAtMs).toBeNull();
    expect(at(1500).fullAtMs).not.toBeNull();
    expect(at(1500).fullAtMs).toBeNull();
    expect([9000, 9000, 9000, 9000, 9000].map((now) => at(now).fullAtMs !== null)).toEqual([
      ...[true, true, true, true],
      false,
    ]);
  });

  test("is as full at one moment as at any other, whatever a sum of fractions loses", () => {
    for (let i = 1; i <= 1000; i++) {
      const nowMs = 100 + i / 3;
      const first = draw(0, nowMs, { intervalMs: 30_000, burst: 2 });
      expect([nowMs, first.remaining, first.waitMs]).toEqual([nowMs, 1, 30_000]);
      const second = draw(first.fullAtMs ?? 0, nowMs, { intervalMs: 30_000, burst: 3 });
      expect([nowMs, second.remaining]).toEqual([nowMs, 1]);
    }
  });

  test("below one a second, the first is always there", () => {
    const { bucket: slow } = perSecond("client", 0.1, 2);
    expect(draw(0, 5000, slow).fullAtMs).toBe(15_000);
    expect(draw(15_000, 14_999, slow)).toMatchObject({ fullAtMs: null, waitMs: 1 });
    expect(draw(15_000, 15_000, slow).fullAtMs).toBe(25_000);
  });

  test("of so many clients none beyond the bound is remembered", () => {
    const buckets = createBuckets(realMachine());
    for (let i = 0; i < bucketsMax + 1000; i++) buckets.take(`c${i}`, 1);
    expect(buckets.size()).toBe(bucketsMax);
  });
});

describe("a policy", () => {
  test.each([
    ["/login", "/login"],
    ["//login", "/login"],
    ["/%6Cogin", "/login"],
    ["/a/%2e%2e/login", "/login"],
    ["/a/../../login/", "/login/"],
    ["/%zz//x", "/%zz/x"],
    ["/a\\b", "/a/b"],
  ])("a router reads %p as %p", (sent, path) => {
    expect(plainPath(sent)).toBe(path);
  });

  test("is about its method and its paths", () => {
    const [policy] = policiesOf([
      { path: "/api/*", method: "POST", per: "client", requests: 1, seconds: 1 },
    ]);
    if (policy === undefined) throw new Error("no policy");
    const about = (method: string, path: string) => matches(policy, method, path);
    expect(["/api", "/api/", "/api/x/y"].every((path) => about("POST", path))).toBe(true);
    expect(["/", "/apix", "/API"].some((path) => about("POST", path))).toBe(false);
    expect(about("GET", "/api")).toBe(false);
  });
});
