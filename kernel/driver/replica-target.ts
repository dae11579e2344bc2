/**
 * Where the replica is: as the owner writes it, and as its row keeps it, the secret sealed by the
 * machine key; and times, as the owner writes them.
 */
import { isAbsolute, normalize } from "node:path";
import { z } from "zod";
import { SysError } from "../errno.ts";
import type { Security } from "../security/mod.ts";
import type { Storage, Tx } from "../storage/mod.ts";
import type { Target } from "./store/mod.ts";

/** What the owner says about a place. */
export interface Place {
  readonly url: string;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly keyId?: string | undefined;
  readonly secret?: string | undefined;
}

const invalid = (message: string, hint: string): SysError =>
  new SysError("EINVAL", `cannot replicate: ${message}`, { hint });

const example = "such as s3://bucket/prefix --endpoint https://s3.example.com --key-id ID";

/** The target of a place. EINVAL, naming what is wrong. */
export function targetOf(place: Place): Target {
  const { url } = place;
  if (url.startsWith("file://")) return fileTarget(url);
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,62})(?:\/(.*))?$/.exec(url);
  if (match === null)
    throw invalid(`"${url}" is neither s3://BUCKET/PREFIX nor file:///DIR`, example);
  const [, bucket = "", rest = ""] = match;
  const prefix = rest.replace(/\/+$/, "");
  if (
    prefix
      .split("/")
      .some((part) => part === ".." || part === "." || (part === "" && prefix !== ""))
  ) {
    throw invalid(`"${rest}" is not a prefix`, "name folders with single slashes between them");
  }
  const { keyId, secret } = place;
  if (keyId === undefined || secret === undefined) {
    throw invalid("a bucket needs a key id and a secret", "give --key-id and --secret-file");
  }
  const endpoint = place.endpoint === undefined ? null : endpointOf(place.endpoint);
  const region = place.region ?? (endpoint === null ? null : "auto");
  if (region === null) throw invalid("no region named", "give --region, or --endpoint");
  return { kind: "s3", bucket, prefix, endpoint, region, keyId, secret };
}

function fileTarget(url: string): Target {
  const path = decoded(url.slice("file://".length));
  if (!isAbsolute(path) || path.includes("\0") || normalize(path) !== path || path === "/") {
    throw invalid(`"${url}" is not an absolute directory`, "such as file:///mnt/disk/fazt");
  }
  return { kind: "file", path };
}

/** Percent-decoded; empty when it cannot be. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function endpointOf(text: string): string {
  const url = URL.parse(text);
  const plain = url !== null && /^https?:$/.test(url.protocol) && url.username === "";
  if (plain && url.pathname === "/" && url.search === "") return url.origin;
  throw invalid(`"${text}" is not the address of an S3 server`, example);
}

const sealContext = "driver.replica.secret";

const Kept = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("file"), path: z.string() }),
  z.strictObject({
    kind: z.literal("s3"),
    bucket: z.string(),
    prefix: z.string(),
    endpoint: z.string().nullable(),
    region: z.string(),
    keyId: z.string(),
  }),
]);

/** Who set it, and when (Unix ms). */
interface By {
  readonly at: number;
  readonly userId: string | null;
}

interface Row {
  readonly target: string;
  readonly secret: Uint8Array | null;
}

/** What is set, with its secret; null: nothing. Throws what `unseal` does under another key. */
export function readTarget(
  { read }: Pick<Storage, "read">,
  security: Pick<Security, "unseal">,
): Target | null {
  const row = read.get<Row>("SELECT target, secret FROM driver_replica");
  if (row === null) return null;
  const kept = Kept.parse(JSON.parse(row.target));
  if (kept.kind === "file") return kept;
  const bytes = security.unseal(row.secret ?? new Uint8Array(0), sealContext);
  return { ...kept, secret: new TextDecoder().decode(bytes) };
}

/** Writes a target in place of what was set. */
export function targetWriter(
  target: Target,
  security: Pick<Security, "seal">,
): (tx: Tx, by: By) => void {
  const { secret, ...text } = target.kind === "file" ? { ...target, secret: null } : target;
  const sealed =
    secret === null ? null : security.seal(new TextEncoder().encode(secret), sealContext);
  return (tx, { at, userId }) => {
    const sql = "INSERT OR REPLACE INTO driver_replica VALUES (1, ?, ?, ?, ?)";
    tx.run(sql, JSON.stringify(text), sealed, at, userId);
  };
}

/** Unix ms of an ISO 8601 time (UTC when it names no zone) or of Unix ms as text. EINVAL. */
export function timeOf(text: string): number {
  const bare = /^\d{4}-\d\d-\d\dT[\d:.]+$/.test(text) ? `${text}Z` : text;
  const ms = /^\d{12,14}$/.test(text) ? Number(text) : Date.parse(bare);
  const looksRight = /^\d{12,14}$/.test(text) || /^\d{4}-\d\d-\d\d(T|$)/.test(text);
  if (looksRight && Number.isFinite(ms)) return ms;
  throw new SysError("EINVAL", `cannot tell what time "${text.slice(0, 40)}" is`, {
    hint: "write it as 2026-11-20T12:00:00Z, or as Unix milliseconds",
  });
}
