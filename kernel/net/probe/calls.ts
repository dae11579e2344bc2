/**
 * The calls of probes: `net.ping`, `net.dns` and `net.http`.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { echoesMax } from "./limits.ts";
import { ping as echoes, recordTypes, request, resolve } from "./mod.ts";

const Host = z.string().min(1).max(253);

const ping = call({
  summary: "Send echoes to a host and show how long each takes",
  needs: "net:probe",
  errors: ["ENOENT"],
  effect: "read",
  reply: "lines",
  args: ["host"],
  aliases: ["ping"],
  input: z.object({
    host: Host.describe("name or address"),
    count: z.int().min(1).max(echoesMax).default(4).describe("echoes, one a second"),
  }),
  output: z.object({
    seq: z.int().describe("which echo"),
    address: z.string().describe("the address it went to"),
    ms: z.number().nullable().describe("round trip, milliseconds; null: no answer"),
  }),
  examples: [{ say: "Is the gateway there?", input: { host: "192.168.1.1" } }],
  run: ({ machine }, { signal }, input) => echoes(machine, input, signal),
});

const dns = call({
  summary: "Show what the name servers say of a name",
  needs: "net:probe",
  errors: ["EINVAL", "ENOENT", "ETIMEDOUT"],
  effect: "read",
  args: ["name"],
  aliases: ["dns"],
  input: z.object({
    name: Host.describe("the name, or with type PTR the name of an address"),
    type: z.enum(recordTypes).optional().describe("only records of this type"),
    server: z.string().max(64).optional().describe("address of the server to ask"),
  }),
  output: z.array(
    z.object({
      type: z.enum(recordTypes).describe("type of the record"),
      value: z.string().describe("what it says"),
      ttlS: z.int().nullable().describe("how long it may be kept, seconds; null: not known"),
    }),
  ),
  examples: [{ say: "Does my domain lead here?", input: { name: "example.com", type: "A" } }],
  run: (_kernel, _invocation, { name, type, server }) =>
    resolve(name, { type: type ?? null, server: server ?? null }),
});

const http = call({
  summary: "Make a request and show where it leads and how long it takes",
  manual: "Redirects are followed, five at most. The body is measured and not shown.",
  needs: "net:probe",
  errors: ["EINVAL", "EIO", "ETIMEDOUT"],
  effect: "read",
  args: ["url"],
  aliases: ["http"],
  input: z.object({ url: z.string().min(1).max(2000).describe("URL; https when it names none") }),
  output: z.object({
    status: z.int().describe("status of the last answer"),
    type: z.string().nullable().describe("its content type"),
    server: z.string().nullable().describe("what the server calls itself"),
    bodyBytes: z.int().describe("bytes of its body"),
    totalMs: z.number().describe("from the first request to the last byte, milliseconds"),
    hops: z
      .array(
        z.object({
          url: z.string().describe("what was asked"),
          status: z.int().describe("status of the answer"),
          ms: z.number().describe("until its head was here, milliseconds"),
        }),
      )
      .describe("every request, redirects included"),
  }),
  examples: [{ say: "Can it reach the outside?", input: { url: "https://example.com/" } }],
  run: async ({ machine }, { signal }, { url }) => {
    const { hops, ...rest } = await request(machine, url, signal);
    return { ...rest, hops: [...hops] };
  },
});

export const probe = { ping, dns, http };
