/**
 * `app.json`: what an app says of itself. Every key has a default; an unknown key is an error that
 * names it. Read on the caller's side at deploy and checked again by the kernel.
 */
import { z } from "zod";

const text = (max: number) => z.string().max(max);
const absolute = text(1024).regex(/^\/[^\0]*$/, 'must start with "/"');

/** Lower-case letters, digits and inner hyphens, 1 to 63: a DNS label (RFC 1123). */
export const AppName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must be lower-case letters, digits and hyphens")
  .refine((name) => !["os", "www", "kernel", "access"].includes(name), "is a reserved name");

/** `128M`, `1G`: bytes in binary units. */
export const Size = z.string().regex(/^[1-9][0-9]*[KMG]$/, 'must be a size such as "128M"');

/** `30s`, `5m`, `2h`, or `never`. */
export const Span = z
  .string()
  .regex(/^([1-9][0-9]*[smhd]|never)$/, 'must be such as "5m" or "never"');

const relative = text(1024).regex(
  /^(?!\/)(?!(.*\/)?\.\.(\/|$))[^\0]*$/,
  "must be a path inside the app",
);

export const Manifest = z.strictObject({
  name: AppName.optional().describe("the app's name; the folder's name when absent"),
  server: relative.nullable().default(null).describe("entry of the server code"),
  public: relative.default("public").describe("folder served as it is"),
  spa: z.boolean().default(false).describe("unknown paths answer index.html"),
  routes: z.array(text(253)).max(100).default([]).describe("hosts routed to this app"),
  memory: Size.default("128M").describe("memory limit of the process"),
  cpu: z.int().min(1).max(10_000).default(100).describe("CPU weight, 100 is normal"),
  idle: Span.default("5m").describe("sleep after this long without a request"),
  health: absolute.nullable().default(null).describe("path that answers 2xx when ready"),
  cron: z
    .array(z.strictObject({ schedule: text(100), path: absolute }))
    .max(100)
    .default([])
    .describe("requests made on a schedule"),
  egress: z.array(text(253)).max(100).default([]).describe("hosts it may fetch from"),
  permissions: z.array(text(100)).max(100).default([]).describe("further capabilities"),
  env: z.record(text(100), text(8192)).default({}).describe("non-secret defaults"),
  redirects: z
    .array(
      z.strictObject({
        from: absolute,
        to: text(2048),
        status: z.union([301, 302, 303, 307, 308].map((s) => z.literal(s))).default(308),
      }),
    )
    .max(1000)
    .default([])
    .describe("answered before any file"),
  headers: z
    .array(z.strictObject({ path: absolute, headers: z.record(text(100), text(4096)) }))
    .max(100)
    .default([])
    .describe("response headers by path"),
  rate: z.number().positive().nullable().default(null).describe("requests a second a client"),
});

export type Manifest = z.output<typeof Manifest>;
