/** Manifests: what is read, and which releases suit a machine. */
import { expect, test } from "bun:test";
import { type Here, type Manifest, manifestText, readManifest, refusalOf } from "./mod.ts";

const manifest: Manifest = {
  format: 1,
  version: "1.3.0",
  channel: "stable",
  arch: "x64",
  minFrom: "1.0.0",
  notAfter: 2_000,
  schemaVersion: 9,
  notes: "",
  artifacts: [
    { name: "fazt-1.3.0-x64", kind: "binary", sizeBytes: 5, sha256: "a".repeat(64), packed: null },
  ],
};
const here: Here = { version: "1.2.0", arch: "x64", channel: "stable", now: 1_000, blocked: {} };
const usual = { downgrade: false, blocked: false };
const read = (change: object) =>
  readManifest(new TextEncoder().encode(JSON.stringify({ ...manifest, ...change })));

test("a manifest is read as it was written, and may say more than we know", () => {
  expect(readManifest(new TextEncoder().encode(manifestText(manifest)))).toEqual(manifest);
  expect(read({ mood: "good" }).version).toBe("1.3.0");
});

test("what is wrong in a manifest is named", () => {
  const [artifact] = manifest.artifacts;
  const cases: [object, string][] = [
    [{ format: 2 }, '"format"'],
    [{ version: "new" }, '"version"'],
    [{ arch: "sparc" }, '"arch"'],
    [{ artifacts: [] }, '"artifacts"'],
    [{ artifacts: [{ ...artifact, name: "../fazt" }] }, '"artifacts.0.name"'],
    [{ artifacts: [{ ...artifact, sha256: "short" }] }, '"artifacts.0.sha256"'],
    [{ artifacts: [{ ...artifact, sizeBytes: 1e13 }] }, '"artifacts.0.sizeBytes"'],
  ];
  for (const [change, field] of cases) expect(() => read(change)).toThrow(field);
  expect(() => readManifest(new Uint8Array([0xff, 0xfe]))).toThrow("not JSON");
});

test("a release for this machine is taken", () => {
  expect(refusalOf(manifest, here, usual)).toBeNull();
  const edge = { ...manifest, channel: "edge" } as const;
  expect(refusalOf(edge, { ...here, channel: "edge" }, usual)).toBeNull();
});

test("a release that does not suit is refused with the reason", () => {
  const cases: [Partial<Manifest>, Partial<Here>, string][] = [
    [{ arch: "arm64" }, {}, 'ENOEXEC cannot upgrade to "1.3.0": it is for arm64'],
    [{}, { now: 2_001 }, 'ESTALE cannot upgrade to "1.3.0": it has expired'],
    [{ channel: "edge" }, {}, 'EPERM cannot upgrade to "1.3.0": it is of channel "edge"'],
    [{ minFrom: "1.2.1" }, {}, 'ENOEXEC cannot upgrade to "1.3.0": it follows 1.2.1 at least'],
    [{}, { version: "1.3.0" }, 'EEXIST cannot upgrade to "1.3.0": it is what runs'],
    [{}, { version: "1.4.0-rc.1" }, 'EPERM cannot upgrade to "1.3.0": 1.4.0-rc.1 is newer'],
    [{}, { blocked: { "1.3.0": "it hung" } }, "it failed here before: it hung"],
  ];
  for (const [change, at, said] of cases) {
    const refusal = refusalOf({ ...manifest, ...change }, { ...here, ...at }, usual);
    expect(`${refusal?.code} ${refusal?.message}`).toContain(said);
    expect(refusal?.hint).toBeString();
  }
});

test("an older one, the same, or one that failed is taken when it is asked for", () => {
  const asked = { downgrade: true, blocked: true };
  for (const version of ["1.3.0", "1.4.0"]) {
    expect(refusalOf(manifest, { ...here, version }, asked)).toBeNull();
  }
  expect(refusalOf(manifest, { ...here, blocked: { "1.3.0": "it hung" } }, asked)).toBeNull();
  // Never another machine's, nor an expired one.
  expect(refusalOf({ ...manifest, arch: "arm64" }, here, asked)).not.toBeNull();
  expect(refusalOf(manifest, { ...here, now: 3_000 }, asked)).not.toBeNull();
});
