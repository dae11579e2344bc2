/**
 * The calls of certificates: `net.cert.…`. Keys are in none of their answers.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import type { CertInfo } from "./mod.ts";

const Name = z.string().min(1).max(253).describe("host name, *.d, or self-signed");

const Cert = z.object({
  name: z.string().describe("first name it is for; self-signed is the machine's own"),
  names: z.array(z.string()).describe("every host name and address it is for"),
  issuer: z.enum(["self", "acme"]).describe("self: signed by this machine; acme: by an authority"),
  issuedBy: z.string().describe("the signer, in its own words"),
  fingerprint: z.string().describe("SHA-256 of the certificate, as browsers show it"),
  issuedAt: z.int().describe("good from, Unix ms"),
  expiresAt: z.int().describe("good until, Unix ms"),
});

const reply = (info: CertInfo) => ({ ...info, names: [...info.names] });

const ls = call({
  summary: "List the certificates of this machine",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Cert),
  examples: [{ say: "All certificates", input: {} }],
  run: (kernel) => kernel.net.certs.ls().map(reply),
});

const show = call({
  summary: "Show a certificate",
  manual:
    "The fingerprint of the self-signed certificate is what a browser shows before the machine " +
    "has a certificate from an authority: compare the two.",
  needs: "net:read",
  errors: ["ENOENT"],
  effect: "read",
  args: ["name"],
  input: z.object({ name: Name }),
  output: Cert,
  examples: [{ say: "The machine's own", input: { name: "self-signed" } }],
  run: (kernel, _invocation, { name }) => reply(kernel.net.certs.show(name)),
});

export const cert = { ls, show };
