/** Self-signed certificates, read by OpenSSL, which is not ours. */
import { expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfSign } from "./der.ts";
import { newKey } from "./self.ts";

const day = 86_400_000;
const key = createPrivateKey(newKey());
const make = (names: string[], years: number): string => {
  const notBefore = Date.UTC(2026, 0, 2, 3, 4, 5);
  const notAfter = notBefore + years * 365 * day;
  const serial = new Uint8Array(16);
  return selfSign({ commonName: "fazt é", names, notBefore, notAfter, serial }, key);
};

test("OpenSSL finds it well-formed, and its own signature good", () => {
  const directory = mkdtempSync(join(tmpdir(), "fazt-der-"));
  try {
    const path = join(directory, "cert.pem");
    // A list of names so long that lengths take two bytes.
    const names = Array.from({ length: 400 }, (_, i) => `host-${i}.example.org`);
    writeFileSync(path, make(names, 1));
    const checks = ["-CAfile", path, "-attime", "1790000000", "-x509_strict", path];
    const { stdout, stderr } = Bun.spawnSync(["openssl", "verify", "-check_ss_sig", ...checks]);
    // Strict readers want an authority to sign; that alone is what this certificate is not.
    const said = stdout.toString() + stderr.toString();
    expect(said).not.toContain("signature failure");
    expect(new X509Certificate(make(names, 1)).checkHost("host-399.example.org")).toBeString();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("names, addresses, times on both sides of 2050, and a positive serial number", () => {
  const cert = new X509Certificate(
    make(["example.org", "*.example.org", "127.0.0.1", "::1", "2001:db8::7:1"], 40),
  );
  expect(cert.checkHost("a.example.org")).toBe("*.example.org");
  expect(cert.checkHost("example.org")).toBe("example.org");
  expect(cert.checkHost("a.b.example.org")).toBeUndefined();
  for (const ip of ["127.0.0.1", "::1", "2001:db8::7:1"]) expect(cert.checkIP(ip)).toBe(ip);
  expect(cert.checkIP("127.0.0.2")).toBeUndefined();
  expect(new Date(cert.validFrom).getTime()).toBe(Date.UTC(2026, 0, 2, 3, 4, 5));
  expect(new Date(cert.validTo).getUTCFullYear()).toBe(2065);
  expect(cert.serialNumber).toBe(`40${"0".repeat(30)}`);
  expect(cert.verify(cert.publicKey)).toBe(true);
  expect(cert.checkPrivateKey(key)).toBe(true);
  expect(cert.subject).toBe("CN=fazt é");
});
