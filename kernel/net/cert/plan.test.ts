/** Which certificates a machine asks for, when they are renewed, and how they are named to others. */
import { describe, expect, test } from "bun:test";
import { isPublicName, renewalAt, wantedCerts, withinWindow } from "./plan.ts";

const hosts = {
  domain: "d.org",
  exact: ["os.d.org", "d.org", "blog.d.org", "x.net", "deep.blog.d.org", "localhost", "[::1]"],
  wildcard: ["w.net"],
};
const namesOf = (how: { dns: boolean; any: boolean }) =>
  wantedCerts(hosts, how).map(({ names }) => names.join(" "));

describe("what is asked for", () => {
  test("over HTTP: every exact host, no wildcard", () => {
    const names = ["blog.d.org", "d.org", "deep.blog.d.org", "os.d.org", "x.net"];
    expect(namesOf({ dns: false, any: false })).toEqual(names);
  });

  test("by DNS: one wildcard for the domain, and what it does not cover", () => {
    const names = ["*.d.org d.org", "*.w.net", "deep.blog.d.org", "x.net"];
    expect(namesOf({ dns: true, any: false })).toEqual(names);
  });

  test.each([
    ["blog.org", true],
    ["*.blog.org", true],
    ["localhost", false],
    ["a.localhost", false],
    ["nas.local", false],
    ["nas", false],
    ["192.0.2.1", false],
    ["[::1]", false],
    ["a.example.com", false],
    ["example.community", true],
    ["x.home.arpa", false],
  ])("a public authority knows of %s: %p", (name, known) => {
    expect(isPublicName(name)).toBe(known);
  });

  test("an authority of one's own is asked for any name with a dot", () => {
    const names = ["a.lan", "nas", "a.localhost", "10.0.0.1"];
    const wanted = wantedCerts(
      { domain: "x", exact: names, wildcard: [] },
      { dns: false, any: true },
    );
    expect(wanted.map(({ name }) => name)).toEqual(["a.lan"]);
  });
});

describe("when", () => {
  const times = { notBefore: 0, notAfter: 90 * 86_400_000 };

  test("two thirds of the life, a little earlier by chance", () => {
    expect(renewalAt(times, 0)).toBe(60 * 86_400_000);
    const early = renewalAt(times, 0.999) / times.notAfter;
    expect(early).toBeGreaterThan(0.64);
  });

  test("within the window an authority names, never after our own time", () => {
    const window = { start: 1000, end: 2000 };
    expect(withinWindow(window, 5000, 0.25)).toBe(1250);
    expect(withinWindow(window, 1100, 0.25)).toBe(1100);
  });
});
