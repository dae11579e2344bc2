/** Which system packages are taken for missing. */
import { expect, test } from "bun:test";
import { missingPackages } from "./install.ts";

test("a package is missing when none of its commands is there", () => {
  const has = (...names: string[]) => {
    return (command: string) => (names.includes(command) ? `/usr/bin/${command}` : null);
  };
  expect(missingPackages("start", has()).map(({ name }) => name)).toEqual(["bubblewrap"]);
  expect(missingPackages("start", has("bwrap"))).toEqual([]);
  const missing = missingPackages("test", has("bwrap", "google-chrome", "curl", "wget", "wrk"));
  expect(missing.map(({ name }) => name)).toContain("sqlite3");
  expect(missing.map(({ name }) => name)).not.toContain("wrk");
});

test("load generators and other servers are for the benchmarks only", () => {
  const names = missingPackages("test", () => null).map(({ name }) => name);
  expect(names).not.toContain("nginx-light");
  expect(names).not.toContain("caddy");
});
