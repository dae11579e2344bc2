/** Signatures: made and verified here, and by the real `minisign`; nothing forged passes. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keyFilesOf, publicKeyOf, signText, verifySignature } from "./mod.ts";

const directory = mkdtempSync(join(tmpdir(), "fazt-minisign-"));
afterAll(() => rmSync(directory, { recursive: true }));

const text = new TextEncoder().encode('{"version":"1.2.3"}\n');
const pair = (seed: number) => keyFilesOf(new Uint8Array(40).fill(seed));
const mine = pair(7);
const keys = [publicKeyOf(pair(1).publicKey), publicKeyOf(mine.publicKey)];

const file = (name: string, content: string | Uint8Array): string => {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};

function minisign(...args: string[]): { code: number; said: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["minisign", ...args]);
  return { code: exitCode, said: `${stdout}${stderr}` };
}

test("minisign verifies what we sign, trusted comment and all", () => {
  const path = file("ours.json", text);
  file("ours.json.minisig", signText(text, mine.secretKey, "fazt 1.2.3"));
  const key = file("ours.pub", mine.publicKey);
  const { code, said } = minisign("-Vm", path, "-p", key);
  expect([code, said]).toEqual([0, expect.stringContaining("fazt 1.2.3")]);
  file("ours.json", "other");
  expect(minisign("-Vm", path, "-p", key).code).not.toBe(0);
});

test("we verify what minisign signs, with its keys and with ours", () => {
  const path = file("theirs.json", text);
  const [pub, secret] = [join(directory, "theirs.pub"), join(directory, "theirs.key")];
  expect(minisign("-G", "-W", "-p", pub, "-s", secret).code).toBe(0);
  const theirs = publicKeyOf(readFileSync(pub, "utf8"));
  for (const [key, known] of [
    [secret, theirs],
    [file("own.key", mine.secretKey), keys[1]],
  ] as const) {
    expect(minisign("-Sm", path, "-s", key, "-t", "hello").code).toBe(0);
    const signature = readFileSync(`${path}.minisig`, "utf8");
    expect(verifySignature(text, signature, known === undefined ? [] : [known])).toBe(
      known?.id ?? "",
    );
  }
  // And we sign with theirs.
  const ours = signText(text, readFileSync(secret, "utf8"), "x");
  expect(verifySignature(text, ours, [theirs])).toBe(theirs.id);
});

test("either of two keys is believed, a third is not", () => {
  const [first] = keys;
  for (const seed of [1, 7]) {
    const signature = signText(text, pair(seed).secretKey, "rollover");
    expect(verifySignature(text, signature, keys)).toBe(publicKeyOf(pair(seed).publicKey).id);
  }
  const strange = signText(text, pair(9).secretKey, "x");
  expect(() => verifySignature(text, strange, keys)).toThrow("nobody here knows key 0909");
  const forged = strange.replaceAll("0909", first?.id.slice(0, 4) ?? "");
  expect(() => verifySignature(text, forged, keys)).toThrow("cannot trust the release");
});

test("a signature of which any byte was changed is refused", () => {
  const signature = signText(text, mine.secretKey, "fazt 1.2.3 stable");
  const lines = signature.split("\n");
  for (const [line, from] of [
    [1, 20],
    [1, 60],
    [2, 20],
    [3, 10],
    [3, 80],
  ] as const) {
    const changed = [...lines];
    const was = lines[line] ?? "";
    const letter = was[from] === "A" ? "B" : "A";
    changed[line] = was.slice(0, from) + letter + was.slice(from + 1);
    expect(() => verifySignature(text, changed.join("\n"), keys)).toThrow("cannot trust");
  }
  const other = new TextEncoder().encode('{"version":"1.2.4"}\n');
  expect(() => verifySignature(other, signature, keys)).toThrow("its signature is wrong");
  expect(() => verifySignature(text, "", keys)).toThrow("its signature is damaged");
});

test("keys that are none are refused with what to do", () => {
  expect(() => publicKeyOf("hello")).toThrow("not in minisign's format");
  expect(() => signText(text, "hello", "x")).toThrow("not in minisign's format");
  const damaged = mine.secretKey.replace(/.{6}\n$/, "AAAA==\n");
  expect(() => signText(text, damaged, "x")).toThrow("cannot read the secret key");
});
