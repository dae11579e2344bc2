/**
 * The calls of certificates: `net.cert.…`, and of who issues them: `net.acme.…`. Keys and secrets
 * are in none of their answers.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { type CertInfo, type Change, providerKinds } from "./mod.ts";

const Name = z.string().min(1).max(253).describe("host name, *.d, or self-signed");

const Problem = z.object({
  at: z.int().describe("when it was seen, Unix ms"),
  text: z.string().describe("what went wrong, in the words of who refused"),
});

const Cert = z.object({
  name: z.string().describe("first name it is for; self-signed is the machine's own"),
  state: z
    .enum(["good", "coming", "failing", "expired"])
    .describe("coming: asked for; failing: refused, with the problem"),
  expiresAt: z.int().nullable().describe("good until, Unix ms; null while there is none"),
  nextAt: z.int().nullable().describe("when an authority is asked next, Unix ms; null: never"),
  names: z.array(z.string()).describe("every host name and address it is for"),
  issuer: z.enum(["self", "acme"]).describe("self: signed by this machine; acme: by an authority"),
  issuedBy: z.string().nullable().describe("the signer, in its own words"),
  fingerprint: z.string().nullable().describe("SHA-256 of it, as browsers show it"),
  issuedAt: z.int().nullable().describe("good from, Unix ms"),
  step: z.string().nullable().describe("where its next order stands, waiting until the next"),
  problem: Problem.nullable().describe("why the last order failed, null when nothing is wrong"),
});

const reply = (info: CertInfo) => ({ ...info, names: [...info.names] });

const ls = call({
  summary: "List the certificates of this machine, and those on their way",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Cert),
  examples: [{ say: "All certificates", input: {} }],
  run: (kernel) => kernel.net.certs.ls().map(reply),
});

const show = call({
  summary: "Show a certificate, and what is wrong with it",
  manual:
    "The fingerprint of the self-signed certificate is what a browser shows before the machine " +
    "has a certificate from an authority: compare the two. A certificate that could not be had " +
    "says why, and when it is tried again.",
  needs: "net:read",
  errors: ["ENOENT"],
  effect: "read",
  args: ["name"],
  input: z.object({ name: Name }),
  output: Cert,
  examples: [{ say: "The machine's own", input: { name: "self-signed" } }],
  run: (kernel, _invocation, { name }) => reply(kernel.net.certs.show(name)),
});

const renew = call({
  summary: "Ask for a certificate anew, now",
  manual:
    "Certificates are renewed by themselves, at two thirds of their life or when the authority " +
    "wants it. This does not wait until one is due, nor until a failed order may be tried again. " +
    "It answers at once, after a look at DNS where the name is another spelling of a host " +
    "(www.); fazt net cert show NAME says what came of it.",
  needs: "net:write",
  errors: ["ENOENT", "EINVAL"],
  effect: "write",
  args: ["name"],
  input: z.object({ name: Name }),
  output: Cert,
  examples: [{ say: "After DNS has been put right", input: { name: "blog.example.org" } }],
  run: (kernel, _invocation, { name }) => kernel.net.certs.renew(name).then(reply),
});

const Acme = z.object({
  on: z.boolean().describe("whether an authority is asked for certificates"),
  directory: z.string().describe("URL of the authority's ACME directory"),
  email: z.string().nullable().describe("whom the authority writes to; null: the owner"),
  roots: z.string().nullable().describe("PEM of roots to trust for the directory, null: none"),
  bindingId: z.string().nullable().describe("key id of the external account binding"),
  provider: z.enum(providerKinds).nullable().describe("who sets DNS records; null: wildcards none"),
  providerServer: z.string().nullable().describe("where it is asked; null: where it always is"),
  providerKeyName: z.string().nullable().describe("rfc2136: name of the key, or algorithm:name"),
  resolver: z.string().nullable().describe("DNS server asked for records; null: the zone's own"),
  hsts: z.boolean().describe("whether browsers are told to ask for nothing but HTTPS"),
});

const acmeShow = call({
  summary: "Show who issues certificates, and how hosts are proved",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: Acme,
  examples: [{ say: "Which authority?", input: {} }],
  run: (kernel) => kernel.net.certs.settings(),
});

/** Or nothing, which takes the setting back. Texts, so that a command line says them plainly. */
const Url = z
  .string()
  .max(1_000)
  .regex(/^(https?:\/\/\S+)?$/, "must be an http(s) URL");
const Email = z
  .string()
  .max(320)
  .regex(/^([^@\s]+@[^@\s]+)?$/, "must be a mail address");

const acmeSet = call({
  summary: "Set who issues certificates, and how hosts are proved",
  manual:
    "What is not named stays as it is; an empty text takes a setting back. Hosts are proved over " +
    "HTTP on port 80; with a DNS provider one wildcard certificate is had for the domain, and " +
    "for every route *.d. To use the authority is to agree to its terms of service. rfc2136 is " +
    "any name server that takes signed updates: the server as HOST:PORT, the key's name and its " +
    "secret in base64.",
  needs: "net:admin",
  errors: ["EINVAL", "ENOSPC"],
  effect: "write",
  idempotent: true,
  secrets: ["providerSecret", "bindingKey"],
  input: z.object({
    on: z.boolean().optional().describe("false: ask no authority at all"),
    directory: Url.optional().describe("URL of an ACME directory"),
    email: Email.optional().describe("mail address for the account"),
    roots: z.string().max(100_000).optional().describe("PEM of roots to trust for the directory"),
    bindingId: z.string().max(500).optional().describe("key id of the external account binding"),
    bindingKey: z.string().max(1_000).optional().describe("its key, base64url"),
    provider: z
      .enum([...providerKinds, ""])
      .optional()
      .describe("who sets DNS records"),
    providerServer: z.string().max(500).optional().describe("where it is asked, URL or HOST:PORT"),
    providerKeyName: z.string().max(300).optional().describe("rfc2136: the key's name"),
    providerSecret: z.string().max(1_000).optional().describe("token, or rfc2136's key in base64"),
    resolver: z.string().max(100).optional().describe("DNS server asked for records, ADDRESS:PORT"),
    hsts: z.boolean().optional().describe("false: browsers are not told to keep to HTTPS"),
  }),
  output: Acme,
  examples: [
    { say: "Wildcards by Cloudflare", input: { provider: "cloudflare", providerSecret: "…" } },
    { say: "Let nobody be asked", input: { on: false } },
  ],
  run: (kernel, _invocation, input) => kernel.net.certs.set(changeOf(input)),
});

/** An empty text takes a setting back. */
function changeOf(input: Readonly<Record<string, unknown>>): Change {
  const entries = Object.entries(input).map(([name, value]) => [name, value === "" ? null : value]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Change;
}

export const cert = { ls, show, renew };
export const acme = { show: acmeShow, set: acmeSet };
