/**
 * The user-data document: what a machine is told at its first boot, by whoever makes it. This
 * schema is the only one; the manual page is made of it.
 *
 * Rules: YAML or JSON whose first line is `#fazt`; unknown keys are errors; a problem names its
 * line and never quotes a value, because values are secrets.
 */
import { z } from "zod";
import { targetOf, timeOf } from "../../kernel/driver/mod.ts";
import { Hostname, Network } from "../../kernel/net/iface/mod.ts";
import { assertHash, parseDomain, parseEmail } from "../../kernel/security/mod.ts";
import { lineOf } from "./place.ts";

/** The first line that says whom a document is for. */
export const marker = "#fazt";

/** Characters of a document; clouds take 16 to 64 KB. */
const documentCharsMax = 256 * 1024;

const text = (max: number) => z.string().min(1).max(max);

/** Whether a domain of the kernel would take the value; its own words may quote it. */
const holds =
  <T>(check: (value: T) => unknown) =>
  (value: T): boolean => {
    try {
      check(value);
      return true;
    } catch {
      return false;
    }
  };

const Hash = text(300).refine(
  holds(assertHash),
  "must be an argon2id hash, as fazt security hash makes it",
);

const Claim = z.strictObject({
  passwordHash: Hash.describe("root password, as fazt security hash makes it"),
  domain: text(253)
    .refine(holds(parseDomain), "must be a DNS name")
    .describe('the machine\'s DNS name, or "localhost"'),
  email: text(254)
    .refine(holds(parseEmail), "must be a mail address")
    .describe("the owner's mail address, also for certificates"),
});

const place = {
  url: text(1000).describe("s3://BUCKET/PREFIX or file:///DIRECTORY"),
  endpoint: text(1000).optional().describe("address of an S3 server not Amazon's"),
  region: text(100).optional().describe("region; auto when an endpoint is named"),
  keyId: text(500).optional().describe("access key id"),
  secret: text(1000).optional().describe("secret access key"),
};

const wholePlace =
  "must be file:///DIRECTORY, or s3://BUCKET/PREFIX with keyId, secret, and region or endpoint";

const Replica = z.strictObject(place).refine(holds(targetOf), wholePlace);

const Restore = z
  .strictObject({
    ...place,
    at: text(40)
      .refine(holds(timeOf), "must be a time such as 2026-11-20T12:00:00Z")
      .optional()
      .describe("time, ISO 8601; else the latest"),
    machineKey: z
      .string()
      .regex(/^[A-Za-z0-9+/]{43}=$/, "must be the 32 bytes of machine.key in base64")
      .optional()
      .describe("the old machine's machine.key in base64: without it its secrets are lost"),
  })
  .refine(holds(targetOf), wholePlace);

const App = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, message: "must be an http or https address" })
    .describe("where the cartridge is (fazt app export makes one)"),
  name: text(63).optional().describe("another name than the cartridge's"),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/i, "must be 64 hexadecimal digits")
    .transform((digest) => digest.toLowerCase())
    .optional()
    .describe("SHA-256 of the file; needed where the address is not https"),
});

export const Document = z
  .strictObject({
    hostname: Hostname.optional().describe("name of the machine"),
    network: Network.optional().describe("instead of what the cloud says; absent: that"),
    claim: Claim.optional().describe("makes the machine yours, without the wizard"),
    setupCodeHash: Hash.optional().describe(
      "a setup code of yours for the wizard, as fazt security hash makes it; instead of claim",
    ),
    restore: Restore.optional().describe("makes it an old machine, from its replica"),
    replica: Replica.optional().describe("replicates it from now on; with claim"),
    apps: z
      .array(App)
      .max(100, "must have at most 100 entries")
      .default([])
      .describe("apps to restore from cartridges; with claim"),
  })
  .superRefine((document, issue) => {
    const refuse = (field: string, message: string) =>
      issue.addIssue({ code: "custom", path: [field], message });
    const { claim, restore, setupCodeHash, replica, apps } = document;
    if (claim !== undefined && setupCodeHash !== undefined) {
      refuse("setupCodeHash", "must not be there beside claim");
    }
    if (restore !== undefined && (claim !== undefined || setupCodeHash !== undefined)) {
      refuse(
        "restore",
        "must not be there beside claim or setupCodeHash: the old machine has an owner",
      );
    }
    if (claim === undefined && replica !== undefined) refuse("replica", "must come with claim");
    if (claim === undefined && apps.length > 0) refuse("apps", "must come with claim");
    for (const [index, { url, sha256 }] of apps.entries()) {
      if (url.startsWith("https:") || sha256 !== undefined) continue;
      const path = ["apps", index, "url"];
      issue.addIssue({ code: "custom", path, message: "must be https, or come with sha256" });
    }
  });

export type Document = z.output<typeof Document>;

/** What user-data turned out to be. */
export type Reading =
  | { readonly kind: "document"; readonly document: Document }
  /** Meant for another program, or empty: no fault of anybody's. */
  | { readonly kind: "other"; readonly reason: string }
  /** Ours, and wrong; the line counts from 1. */
  | { readonly kind: "bad"; readonly line: number; readonly problem: string };

/** Reads user-data. Never throws. */
export function readDocument(userData: string): Reading {
  const first = (userData.split("\n", 1)[0] ?? "").trim();
  if (userData.trim() === "") return { kind: "other", reason: "it is empty" };
  if (first !== marker) return { kind: "other", reason: whose(first) };
  if (userData.length > documentCharsMax) {
    return { kind: "bad", line: 1, problem: `longer than ${documentCharsMax} characters` };
  }
  let raw: unknown;
  try {
    raw = Bun.YAML.parse(userData);
  } catch (error) {
    return { kind: "bad", ...syntaxProblem(userData, error) };
  }
  const parsed = Document.safeParse(raw ?? {});
  if (parsed.success) return { kind: "document", document: parsed.data };
  const [issue] = parsed.error.issues;
  const key = issue?.code === "unrecognized_keys" ? (issue.keys[0] ?? "") : null;
  const path = [...(issue?.path ?? []), ...(key === null ? [] : [key])].map((part) =>
    typeof part === "number" ? part : String(part),
  );
  const what = key === null ? (issue?.message ?? "is not valid") : "is not a key of a document";
  const field = path.join(".");
  const problem = field === "" ? lower(what) : `"${field}" ${lower(what)}`;
  return { kind: "bad", line: lineOf(userData, path), problem };
}

const lower = (message: string) => message.charAt(0).toLowerCase() + message.slice(1);

/** Whom a document with this first line is for. */
function whose(first: string): string {
  if (first.startsWith("#cloud-config")) return 'it is for cloud-init ("#cloud-config")';
  if (first.startsWith("#!")) return "it is a script, and fazt runs none";
  return `its first line is not "${marker}"`;
}

/** The line up to which the text can be read as YAML. The parser's own words may quote the text. */
function syntaxProblem(userData: string, error: unknown): { line: number; problem: string } {
  const lines = userData.split("\n");
  const message = error instanceof Error ? error.message : "";
  const tabs = lines.findIndex((line) => /^ *\t/.test(line));
  if (message.includes("Tab") && tabs >= 0) {
    return { line: tabs + 1, problem: "begins with a tab: YAML indents with spaces" };
  }
  for (let end = lines.length - 1; end > 0; end--) {
    try {
      Bun.YAML.parse(lines.slice(0, end).join("\n"));
      return { line: end + 1, problem: "is not YAML from here on" };
    } catch {
      // Not up to here either: the fault is further up.
    }
  }
  return { line: 1, problem: "is not YAML" };
}
