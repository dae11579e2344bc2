/** Which addresses are near, in every spelling an address has. */
import { describe, expect, test } from "bun:test";
import { createReach, embedded4, type Reach } from "./address.ts";

const reach = createReach();

const cases: readonly [address: string, reach: Reach][] = [
  ["93.184.216.34", "public"],
  ["1.1.1.1", "public"],
  ["172.15.255.255", "public"],
  ["172.32.0.1", "public"],
  ["2606:4700:4700::1111", "public"],
  ["2a01:4f8::1", "public"],
  ["127.0.0.1", "near"],
  ["127.255.255.254", "near"],
  ["10.0.0.1", "near"],
  ["172.16.0.1", "near"],
  ["172.31.255.255", "near"],
  ["192.168.1.1", "near"],
  ["100.64.0.1", "near"],
  ["::1", "near"],
  ["fd12:3456::1", "near"],
  ["fc00::1", "near"],
  ["0.0.0.0", "never"],
  ["0.1.2.3", "never"],
  ["169.254.169.254", "never"],
  ["100.100.100.200", "never"],
  ["168.63.129.16", "never"],
  ["192.0.0.192", "never"],
  ["198.18.0.1", "never"],
  ["224.0.0.1", "never"],
  ["240.0.0.1", "never"],
  ["255.255.255.255", "never"],
  ["::", "never"],
  ["fe80::1", "never"],
  ["fe80::1%eth0", "never"],
  ["fec0::1", "never"],
  ["ff02::1", "never"],
  ["100::1", "never"],
  ["2001:db8::1", "never"],
  ["2001:0:53aa::1", "never"],
  ["fd00:ec2::254", "never"],
  ["5f00::1", "never"],
  ["not an address", "never"],
  ["", "never"],
];

describe("an address is as near as what it stands for", () => {
  for (const [address, want] of cases) {
    test(`${address || "nothing"} is ${want}`, () => expect(reach(address)).toBe(want));
  }

  const spellings: readonly [spelling: string, inner: string][] = [
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["::ffff:7f00:1", "127.0.0.1"],
    ["0:0:0:0:0:ffff:a9fe:a9fe", "169.254.169.254"],
    ["::ffff:0:10.0.0.1", "10.0.0.1"],
    ["::127.0.0.1", "127.0.0.1"],
    ["64:ff9b::169.254.169.254", "169.254.169.254"],
    ["64:ff9b::a00:1", "10.0.0.1"],
    ["2002:7f00:1::", "127.0.0.1"],
    ["2002:a9fe:a9fe::1", "169.254.169.254"],
    ["::ffff:93.184.216.34", "93.184.216.34"],
  ];
  for (const [spelling, inner] of spellings) {
    test(`${spelling} is ${inner}`, () => {
      expect(embedded4(spelling)).toBe(inner);
      expect(reach(spelling)).toBe(reach(inner));
    });
  }

  test("what is not in 2000::/3 is never public, whatever its bits", () => {
    for (let high = 0; high < 0x10000; high += 257) {
      const address = `${high.toString(16)}:1234::1`;
      if (high >= 0x2000 && high <= 0x3fff) continue;
      expect(reach(address)).not.toBe("public");
    }
  });
});
