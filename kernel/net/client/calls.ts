/**
 * The calls about clients: `net.client.…` for networks that are denied, allowed or trusted as
 * proxies, `net.limit.…` for the limits of the listeners.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import type { Kernel } from "../../kernel.ts";
import { noteCharsMax, ruleMsMax } from "./limits.ts";
import type { Verdict } from "./verdict.ts";

const NetworkText = z
  .string()
  .min(1)
  .max(100)
  .describe("address, or network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/48");

const Rule = z.object({
  network: z.string().describe("network in CIDR notation"),
  verdict: z
    .enum(["deny", "allow", "proxy"])
    .describe("deny: never answered; allow: never limited; proxy: believed about its clients"),
  note: z.string().describe("what the owner noted, or empty"),
  endsAt: z.int().nullable().describe("Unix ms at which it ends by itself, null: never"),
  createdAt: z.int().describe("Unix ms"),
});

const Input = z.object({
  network: NetworkText,
  note: z.string().max(noteCharsMax).default("").describe("why, for yourself"),
  forS: z
    .int()
    .min(1)
    .max(ruleMsMax / 1000)
    .optional()
    .describe("seconds it holds; absent: until it is removed"),
});

const common = {
  needs: "net:write",
  errors: ["EINVAL", "EDQUOT"],
  effect: "write",
  idempotent: true,
  args: ["network"],
  input: Input,
  output: Rule,
} as const;

/** The handler of the calls that make a rule. */
const put =
  (verdict: Verdict) =>
  (kernel: Kernel, _invocation: unknown, { network, note, forS }: z.output<typeof Input>) =>
    kernel.net.clients.put({
      ...{ network, verdict, note },
      forMs: forS === undefined ? null : forS * 1000,
    });

const deny = call({
  ...common,
  summary: "Never answer clients of a network",
  manual:
    "At once: their connections end, and new ones are dropped before any work, by a filter on the " +
    "listening socket. Where that cannot be had, and behind a trusted proxy, they are answered " +
    "with 403. The narrowest network that holds an address decides; this very machine is never " +
    "denied, so that a mistake can be taken back at its console.",
  examples: [
    { say: "For an hour", input: { network: "203.0.113.0/24", forS: 3600, note: "scraper" } },
  ],
  run: put("deny"),
});

const allow = call({
  ...common,
  summary: "Never limit clients of a network",
  manual:
    "Neither the system's rate nor its caps of connections are for them; what an app's own `rate` " +
    "says is. It is also an exception to a wider network that is denied.",
  examples: [{ say: "The office", input: { network: "198.51.100.7" } }],
  run: put("allow"),
});

const trust = call({
  ...common,
  summary: "Believe a proxy or CDN about who its clients are",
  manual:
    "Of a peer in this network, the right-most address in X-Forwarded-For that is not itself a " +
    "trusted proxy's is the client, for apps, limits and logs; X-Forwarded-Proto says whether it " +
    "came by HTTPS. Nobody else's forwarded headers are believed. PROXY protocol is not spoken.",
  examples: [{ say: "A load balancer in front", input: { network: "10.0.0.5" } }],
  run: put("proxy"),
});

const ls = call({
  summary: "List what is said of clients' networks",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Rule),
  examples: [{ say: "Who is denied?", input: {} }],
  run: (kernel) => [...kernel.net.clients.ls()],
});

const rm = call({
  summary: "Treat a network's clients as any other again",
  needs: "net:write",
  errors: ["EINVAL", "ENOENT"],
  effect: "destroy",
  args: ["network"],
  input: z.object({ network: NetworkText }),
  output: z.object({ network: z.string().describe("the network nothing is said of now") }),
  examples: [{ say: "Let them come", input: { network: "203.0.113.0/24" } }],
  run: async (kernel, _invocation, { network }) => ({
    network: await kernel.net.clients.rm(network),
  }),
});

const Limit = z.object({
  name: z.string().describe("name, with its unit at the end"),
  value: z.number().describe("what holds now"),
  standard: z.number().describe("what holds unless it is changed"),
  least: z.number().describe("the least it may be"),
  most: z.number().describe("the most it may be"),
});

const limitLs = call({
  summary: "List the limits of the listeners that may be changed",
  manual: "Every limit there is, changeable or not: fazt fs cat /sys/limits.",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Limit),
  examples: [{ say: "How much may one client?", input: {} }],
  run: (kernel) => kernel.net.limits.ls(),
});

const limitSet = call({
  summary: "Change a limit of the listeners, at once; without a value, back to the standard",
  needs: "net:write",
  errors: ["ENOENT", "ERANGE"],
  effect: "write",
  idempotent: true,
  args: ["name", "value"],
  input: z.object({
    name: z.string().max(100).describe("name of the limit"),
    value: z.number().optional().describe("what is to hold, in the unit of its name"),
  }),
  output: Limit,
  examples: [
    { say: "50 requests a second a client", input: { name: "net.clientRatePerS", value: 50 } },
  ],
  run: (kernel, _invocation, { name, value }) => kernel.net.limits.set(name, value ?? null),
});

export const client = { ls, deny, allow, trust, rm };
export const limit = { ls: limitLs, set: limitSet };
