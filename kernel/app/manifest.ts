/**
 * `app.json`: what an app says of itself. Every key has a default; an unknown key is an error that
 * names it. This schema is the only one: the caller's side reads the file with it at deploy, and
 * the kernel checks what arrives with it again.
 *
 * A leaf: it may be used on both sides, so it imports nothing but zod and other leaves.
 */
import { z } from "zod";
import { present } from "../assert.ts";
import { isZone, nextRun, readCron } from "../cron.ts";
import { SysError } from "../errno.ts";
import { nearest } from "../nearest.ts";

const text = (max: number) => z.string().max(max, `must be at most ${max} characters`);
const few = <T extends z.ZodType>(item: T, max: number) =>
  z
    .array(item)
    .max(max, `must have at most ${max} entries`)
    .default([] as z.output<T>[]);
const absolute = text(1024).regex(/^\/[^\0]*$/, 'must start with "/"');

/** Names that mean something else on this machine: hosts and log names of the system. */
const reservedNames: readonly string[] = ["access", "kernel", "os", "www"];

/** Lower-case letters, digits and inner hyphens, 1 to 63: a DNS label (RFC 1123). */
const AppName = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    "must be 1 to 63 lower-case letters, digits and inner hyphens",
  )
  .refine((name) => !reservedNames.includes(name), "is a reserved name");

/** `128M`, `1G`: bytes in binary units. */
const Size = z.string().regex(/^[1-9][0-9]*[KMG]$/, 'must be a size such as "128M"');

/** `30s`, `5m`, `2h`, or `never`. */
const Span = z.string().regex(/^([1-9][0-9]*[smhd]|never)$/, 'must be such as "5m" or "never"');

const relative = text(1024).regex(
  /^(?!\/)(?!(.*\/)?\.\.(\/|$))[^\0]*$/,
  "must be a path inside the app",
);

/** What the runtime, the loader or the shell reads from the environment: never an app's own. */
const takenVariables =
  /^(BUN_.*|LD_.*|NODE_OPTIONS|NODE_PATH|PATH|HOME|PWD|SHELL|USER|TMPDIR|FAZT_.*)$/;

/** A name of the environment: capitals, digits and `_`, not one the system itself reads. */
export const EnvName = text(100)
  .regex(/^[A-Z_][A-Z0-9_]*$/, "must be capital letters, digits and underscores")
  .refine((name) => !takenVariables.test(name), "is read by the system itself");

/** A field name of HTTP (RFC 9110, 5.1). */
const headerName = text(100).regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "must be a header's name");
/** A field value of HTTP (RFC 9110, 5.5): no control characters, so no second header. */
const headerValue = text(4096).regex(
  /^[\t\x20-\x7e\x80-\uffff]*$/,
  "must not hold control characters",
);

/** A schedule that comes: five fields, and a day that exists. */
const Schedule = text(100).superRefine((schedule, issue) => {
  try {
    if (nextRun(readCron(schedule), { afterMs: 0, zone: "UTC" }) !== null) return;
    issue.addIssue({ code: "custom", message: "never comes" });
  } catch (error) {
    const state = error instanceof SysError ? error.message.replace(/^.*": /, "") : "not valid";
    issue.addIssue({ code: "custom", message: `must be five fields, as in crontab(5): ${state}` });
  }
});

const Cron = z.strictObject({
  schedule: Schedule.describe("five fields, as in crontab(5), or @daily and such"),
  path: absolute.describe("requested at that time, by POST"),
  zone: text(100)
    .refine(isZone, 'must be a time zone such as "Europe/Berlin"')
    .default("UTC")
    .describe("time zone of the schedule"),
  missed: z
    .enum(["run", "skip"])
    .default("run")
    .describe("a run missed while the machine was off: made up for once, or not at all"),
});

const Redirect = z.strictObject({
  from: absolute.describe("absolute path; a final /* matches anything below"),
  to: text(2048)
    .regex(/^(\/|https?:\/\/)[^\s]*$/, 'must start with "/", "http://" or "https://"')
    .refine((to) => !/^(https?:)?\/\/[^/]*:splat/.test(to), "must have :splat behind the host's /")
    .describe("path or URL; :splat carries what /* matched"),
  status: z.literal([301, 302, 303, 307, 308]).default(308).describe("HTTP status"),
});

const HeaderRule = z.strictObject({
  path: absolute.describe("absolute path, or a prefix ending in /*"),
  headers: z.record(headerName, headerValue).describe("set on answers for files"),
});

const RateRule = z.strictObject({
  path: absolute.default("/*").describe("absolute path, or a prefix ending in /*"),
  method: z
    .enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    .nullable()
    .default(null)
    .describe("method it is about; absent: every one"),
  per: z
    .enum(["client", "app"])
    .default("client")
    .describe("client: each for itself; app: all clients together"),
  requests: z
    .int()
    .min(1, "must be 1 to 1000000")
    .max(1_000_000, "must be 1 to 1000000")
    .describe("so many, all at once or spread out"),
  seconds: z
    .number()
    .min(0.1, "must be 0.1 to 86400")
    .max(86_400, "must be 0.1 to 86400")
    .default(1)
    .describe("within so many seconds"),
});

export const Manifest = z.strictObject({
  name: AppName.optional().describe("the app's name; the folder's name when absent"),
  server: relative.nullable().default(null).describe("entry of the server code"),
  public: relative
    .regex(/^(?!\.?\/?$).*[^/]$/, "must be a folder inside the app")
    .default("public")
    .describe("folder served as it is"),
  spa: z.boolean().default(false).describe("unknown paths answer index.html"),
  routes: few(text(253), 100).describe("hosts routed to this app"),
  memory: Size.default("128M").describe("memory limit of the process"),
  cpu: z
    .int()
    .min(1, "must be 1 to 10000")
    .max(10_000, "must be 1 to 10000")
    .default(100)
    .describe("CPU weight, 100 is normal"),
  idle: Span.default("5m").describe("sleep after this long without a request"),
  health: absolute.nullable().default(null).describe("path that answers 2xx when ready"),
  cron: few(Cron, 100).describe("requests made on a schedule"),
  egress: few(text(253), 100).describe("hosts it may fetch from"),
  permissions: few(text(100), 100).describe(
    "what it may beyond its own: events:<app> hears that app's events; secret:<NAME> reads that " +
      "secret by a call, and keeps it out of the environment",
  ),
  env: z.record(EnvName, text(8192)).default({}).describe("non-secret defaults"),
  redirects: few(Redirect, 1000).describe("answered before any file"),
  headers: few(HeaderRule, 100).describe("response headers by path"),
  rate: z
    .union([
      z.number().positive("must be more than 0"),
      z.array(RateRule).max(20, "must have at most 20 entries"),
    ])
    .nullable()
    .default(null)
    .describe("requests a second a client, or a list of {path, method, per, requests, seconds}"),
});

export type Manifest = z.output<typeof Manifest>;

/** As stored by a newer kernel: keys this one does not know are passed over (EDD). */
const StoredManifest = z.object(Manifest.shape);

/** A manifest out of the database. */
export function storedManifest(json: string): Manifest {
  return StoredManifest.parse(JSON.parse(json));
}

/** A value as the manifest `file` holds it, checked. EINVAL names the key and what is expected. */
export function readManifest(value: unknown, file = "app.json"): Manifest {
  const result = Manifest.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const { issues } = result.error;
  // A mistyped key is told before the required key that is missing because of it.
  const told = issues.map(chosen);
  const issue = told.find(({ code }) => code === "unrecognized_keys") ?? told[0];
  const { state, hint } = complaint(present(issue, "an issue of what is not valid"));
  throw new SysError("EINVAL", `cannot read "${file}": ${state}`, { hint });
}

/** One name checked against `AppName`. EINVAL; `action` is such as `rename to`. */
export function readAppName(name: string, action: string): string {
  const result = AppName.safeParse(name);
  if (result.success) return name;
  const why = result.error.issues[0]?.message ?? "not a name";
  throw new SysError("EINVAL", `cannot ${action} ${JSON.stringify(name.slice(0, 100))}: ${why}`, {
    hint: why.includes("reserved")
      ? `choose another name; ${reservedNames.join(", ")} are the system's`
      : 'choose a name such as "my-app"',
  });
}

/** Of a value that may be of several shapes: what is wrong with the shape that it has. */
function chosen(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const shape = issue.errors.find(
    ([first]) => !(first?.code === "invalid_type" && first.path.length === 0),
  );
  const inner = shape?.find(({ code }) => code === "unrecognized_keys") ?? shape?.[0];
  if (inner === undefined)
    return { ...issue, code: "custom", message: "is not of any shape it may have" };
  return { ...inner, path: [...issue.path, ...inner.path] };
}

/** What the first issue says to a person. */
function complaint(issue: z.core.$ZodIssue): { state: string; hint: string } {
  const place = pathText(issue.path);
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0] ?? "";
    const shape = place === "" ? Manifest.shape : innerShape(issue.path);
    const guess = nearest(key, Object.keys(shape));
    const where = place === "" ? "" : ` in "${place}"`;
    return {
      state: `unknown key "${key}"${where}`,
      hint:
        guess === null
          ? `the keys are ${Object.keys(shape).join(", ")}`
          : `did you mean "${guess}"?`,
    };
  }
  const message = issue.code === "invalid_key" ? issue.issues[0]?.message : issue.message;
  const what = expectation(issue) ?? message ?? "not valid";
  const key = String(issue.path[0] ?? "");
  const about = (Manifest.shape as Record<string, z.ZodType>)[key]?.description;
  return {
    state: place === "" ? what : `"${place}" ${what}`,
    hint: about === undefined ? 'write an object such as {"name": "my-app"}' : `"${key}": ${about}`,
  };
}

/** `must be a string, not a number`, for a value of another type. */
function expectation(issue: z.core.$ZodIssue): string | null {
  if (issue.code === "invalid_type") {
    if (issue.input === undefined) return `is missing; it must be ${article(issue.expected)}`;
    if (issue.expected === "int" && typeof issue.input === "number")
      return "must be a whole number";
    return `must be ${article(issue.expected)}, not ${article(kindOf(issue.input))}`;
  }
  if (issue.code === "invalid_value")
    return `must be one of ${issue.values.map(String).join(", ")}`;
  return null;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function article(kind: string): string {
  const words: Record<string, string> = { int: "whole number", boolean: "true or false" };
  const word = words[kind] ?? (kind === "record" ? "object" : kind);
  if (word === "null" || kind === "boolean") return word;
  return /^[aeio]/.test(word) ? `an ${word}` : `a ${word}`;
}

/** `cron[0].path` for `["cron", 0, "path"]`. */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((sofar, part) => {
    if (typeof part === "number") return `${sofar}[${part}]`;
    return sofar === "" ? String(part) : `${sofar}.${String(part)}`;
  }, "");
}

/** The keys of the object a path leads to; only lists of objects are nested in a manifest. */
function innerShape(path: readonly PropertyKey[]): Record<string, unknown> {
  const inner: Record<string, Record<string, unknown>> = {
    cron: Cron.shape,
    redirects: Redirect.shape,
    headers: HeaderRule.shape,
    rate: RateRule.shape,
  };
  return inner[String(path[0])] ?? {};
}
