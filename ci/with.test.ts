/** The bootstrap: when packages are stale, and where Bun is with and without its install script. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findBun, root, upToDate } from "./with.mjs";

describe("upToDate", () => {
  const wanted = {
    packages: {
      "": { version: "1.0.0" },
      "node_modules/a": { version: "1.0.0" },
      "node_modules/other-platform": { version: "1.0.0", optional: true },
    },
  };

  test("packages of other platforms may be absent", () => {
    expect(upToDate(wanted, { packages: { "node_modules/a": { version: "1.0.0" } } })).toBe(true);
  });

  test("a missing or another version is not up to date", () => {
    expect(upToDate(wanted, { packages: {} })).toBe(false);
    expect(upToDate(wanted, { packages: { "node_modules/a": { version: "1.0.1" } } })).toBe(false);
  });
});

describe("findBun", () => {
  const architecture = process.arch === "arm64" ? "aarch64" : "x64";
  const platformPath = `node_modules/@oven/bun-${process.platform}-${architecture}/bin/bun`;
  const linkedPath = "node_modules/bun/bin/bun.exe";

  function checkout(sizes: Readonly<Record<string, number>>): string {
    const base = `${mkdtempSync(join(tmpdir(), "fazt-with-"))}/`;
    for (const [path, size] of Object.entries(sizes)) {
      mkdirSync(dirname(base + path), { recursive: true });
      writeFileSync(base + path, new Uint8Array(size));
    }
    return base;
  }

  test("takes the platform package when the install script was held back", () => {
    const base = checkout({ [linkedPath]: 500, [platformPath]: 2_000_000 });
    expect(findBun(base)).toBe(base + platformPath);
  });

  test("takes the linked file when the install script moved the executable", () => {
    const base = checkout({ [linkedPath]: 2_000_000 });
    expect(findBun(base)).toBe(base + linkedPath);
  });

  test("gives null without either, and finds our own", () => {
    expect(findBun(checkout({}))).toBeNull();
    expect(findBun(root)).not.toBeNull();
  });
});

test("with.mjs runs on Node and names a program it does not have", () => {
  const child = Bun.spawnSync(["node", `${root}ci/with.mjs`, "nonsense"], { stderr: "pipe" });
  expect(child.exitCode).toBe(2);
  expect(child.stderr.toString()).toContain('cannot run "nonsense": no program ci/nonsense.ts');
});
