/**
 * The system calls of egress, in the table under `net`: what an app fetches, and the owner's word
 * about where it may.
 */
import { z } from "zod";
import { type Bytes, call } from "../../call.ts";
import { SysError } from "../../errno.ts";
import { type Egress, type Pattern, readPattern, standing } from "./mod.ts";

const AppArg = z.string().min(1).max(100).describe("name or id of the app");
const HostArg = z
  .string()
  .min(1)
  .max(260)
  .describe('host: "api.example.org", "*.example.org", "*"; with ":port" other than 80 and 443');

const Info = z.object({
  app: z.string().describe("name of the app"),
  host: z.string().describe("host or pattern of hosts"),
  state: z
    .enum(["allowed", "denied", "asked"])
    .describe("asked: app.json names it, and the owner has not agreed yet"),
  origin: z.enum(["owner", "manifest"]).describe("who spoke of it"),
  near: z.boolean().describe("whether addresses that are not on the public internet count"),
  secrets: z.array(z.string()).describe("names of the secrets that may go there"),
});

/** A secret is a name and a value, or neither. */
function secretOf(name: string | undefined, value: string | undefined) {
  if (name === undefined && value === undefined) return null;
  if (name !== undefined && value !== undefined) return { name, value };
  const state = name === undefined ? "it has no name" : "it has no value";
  throw new SysError("EINVAL", `cannot keep the secret: ${state}`, {
    hint: "give both: --secret-name API_KEY --secret-file FILE",
  });
}

/** EINVAL for an address that the owner's word would not open. */
function assertOpens({ text, host }: Pattern, near: boolean): void {
  const far = standing(host);
  if (far === "public" || (far === "near" && near)) return;
  const state = far === "near" ? "it is not on the public internet" : "no app may ever reach it";
  throw new SysError("EINVAL", `cannot allow "${text}": ${state}`, {
    hint:
      far === "near"
        ? "add --near to open an address of your own network"
        : "metadata services, multicast and reserved addresses stay closed",
  });
}

/** The head as one line of JSON, then the body as it comes. */
function framed({ head, body }: Awaited<ReturnType<Egress["fetch"]>>): Bytes {
  const line = new TextEncoder().encode(`${JSON.stringify(head)}\n`);
  const reader = body?.getReader();
  let begun = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        if (!begun) {
          begun = true;
          out.enqueue(line);
          if (reader === undefined) out.close();
          return;
        }
        const piece = await reader?.read();
        if (piece?.value === undefined) out.close();
        else out.enqueue(piece.value);
      },
      cancel: (reason) => reader?.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return { stream, sizeBytes: null, contentType: "application/octet-stream" };
}

const fetch = call({
  summary: "Fetch a URL for the calling app",
  manual:
    "An app's global fetch is this call. Hosts must be allowed: app.json names them under " +
    '"egress", or the owner does with net egress allow. The name is resolved by the kernel, only ' +
    "public addresses are connected to, and each redirect is checked again. {{NAME}} in a header " +
    "is replaced by the secret of that name, if it was given for that host. The reply is the " +
    "head of the answer as one line of JSON, then its body as it came, still encoded.",
  needs: "net:fetch",
  errors: ["EACCES", "EAGAIN", "ECANCELED", "EIO", "ENOENT", "ETIMEDOUT"],
  effect: "write",
  surfaces: ["app"],
  upload: true,
  reply: "bytes",
  input: z.object({
    url: z.string().min(1).max(16_384).describe("http or https URL"),
    method: z
      .string()
      .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/, "must be a method such as GET")
      .default("GET")
      .describe("HTTP method"),
    headers: z
      .array(z.tuple([z.string().max(256), z.string().max(32_768)]))
      .max(100)
      .default([])
      .describe("pairs of name and value"),
    redirect: z.enum(["follow", "manual", "error"]).default("follow").describe("as in fetch"),
    cache: z
      .enum(["default", "no-store"])
      .default("default")
      .describe("whether an answer that is still fresh may be given again"),
  }),
  output: z.void(),
  secrets: ["headers", "url"],
  examples: [
    {
      say: "Ask an API with a secret the app does not know",
      input: {
        url: "https://api.example.org/v1/charges",
        headers: [["authorization", "Bearer {{API_KEY}}"]],
      },
    },
  ],
  run: async (kernel, { caller, body, signal }, input) =>
    framed(await kernel.net.egress.fetch(caller, { ...input, body, signal })),
});

const ls = call({
  summary: "List which hosts apps may fetch from",
  needs: "net:read",
  errors: ["ENOENT"],
  effect: "read",
  args: ["app"],
  input: z.object({ app: AppArg.optional() }),
  output: z.array(Info),
  examples: [
    { say: "All apps", input: {} },
    { say: "One app", input: { app: "blog" } },
  ],
  run: (kernel, _invocation, { app }) =>
    kernel.net.egress
      .ls(app === undefined ? undefined : kernel.app.get(app))
      .map((info) => ({ ...info, secrets: [...info.secrets] })),
});

const allow = call({
  summary: "Let an app fetch from a host",
  manual:
    "With a secret: {{NAME}} in a header of the app's requests to that host is replaced by its " +
    "value, which the app never sees.",
  needs: "net:write",
  errors: ["ENOENT", "EDQUOT"],
  effect: "write",
  idempotent: true,
  args: ["app", "host"],
  secrets: ["secret"],
  input: z.object({
    app: AppArg,
    host: HostArg,
    near: z
      .boolean()
      .default(false)
      .describe("addresses in the own network and on this machine too"),
    secretName: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, "must be a name such as API_KEY")
      .optional()
      .describe("name of a secret that goes to this host alone"),
    secret: z.string().min(1).max(8192).optional().describe("value of that secret"),
  }),
  output: z.object({ host: z.string().describe("the host as it is kept") }),
  examples: [
    { say: "Let the shop reach its bank", input: { app: "shop", host: "api.example.org" } },
  ],
  run: async (kernel, { caller }, { app, host, near, secretName, secret }) => {
    const pattern = readPattern(host);
    assertOpens(pattern, near);
    const given = secretOf(secretName, secret);
    const appId = kernel.app.get(app).id;
    await kernel.net.egress.say(caller, { appId, pattern, allowed: true, near, secret: given });
    return { host: pattern.text };
  },
});

const deny = call({
  summary: "Never let an app fetch from a host",
  manual: "Goes before every permission, that of app.json too. Secrets for the host are erased.",
  needs: "net:write",
  errors: ["ENOENT", "EDQUOT"],
  effect: "write",
  idempotent: true,
  args: ["app", "host"],
  input: z.object({ app: AppArg, host: HostArg }),
  output: z.object({ host: z.string().describe("the host as it is kept") }),
  examples: [{ say: "No tracking", input: { app: "blog", host: "*.tracker.example" } }],
  run: async (kernel, { caller }, { app, host }) => {
    const pattern = readPattern(host);
    const appId = kernel.app.get(app).id;
    const word = { appId, pattern, allowed: false, near: false, secret: null };
    await kernel.net.egress.say(caller, word);
    return { host: pattern.text };
  },
});

export const fetchCall = fetch;
export const egress = { ls, allow, deny };
