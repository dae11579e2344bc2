/**
 * The system calls of net: which host is whose, and what the listener has answered. Hosts are
 * checked by the domain (`routeHost`), so that a message can say what is wrong with them.
 */
import { z } from "zod";
import { call } from "../call.ts";
import { acme, cert } from "./cert/calls.ts";
import { client, limit } from "./client/calls.ts";
import { doctor } from "./doctor/calls.ts";
import { egress, fetchCall } from "./egress/calls.ts";
import { primary, redirect, rest } from "./rule/calls.ts";
import { access, top } from "./traffic/calls.ts";

const Host = z
  .string()
  .min(1)
  .max(500)
  .describe(
    "host name, exact, *.d for one label below, or with a path such as example.org/blog; " +
      "international names become punycode",
  );

const Route = z.object({
  host: z.string().describe("host name, *.d, or a host name with a path"),
  app: z.string().describe("name of the app that answers it"),
  appId: z.string().describe("id of that app"),
  origin: z
    .enum(["name", "added", "manifest"])
    .describe("why: it follows from the app's name, was added, or its manifest asks for it"),
});

const add = call({
  summary: "Route a host to an app",
  manual:
    "An exact host goes before a wildcard, which stands for exactly one label. A host that " +
    "another app has, or that leads elsewhere, is refused. The host's DNS must point at this machine. With a path behind it " +
    "(example.org/blog) the route is for that part of the host alone, before whoever has the rest; " +
    "the app sees paths without the part, and its name in x-forwarded-prefix. Apps on one host share " +
    "its cookies: route only such as trust each other.",
  needs: "net:write",
  errors: ["EEXIST", "EINVAL", "ENOENT", "EDQUOT", "ENOSPC"],
  effect: "write",
  idempotent: true,
  args: ["host", "app"],
  input: z.object({ host: Host, app: z.string().describe("name or id of the app") }),
  output: Route,
  examples: [
    { say: "Give the blog its own name", input: { host: "blog.example.org", app: "blog" } },
    { say: "Give it a part of another", input: { host: "example.org/blog", app: "blog" } },
    { say: "Send every name below one to an app", input: { host: "*.example.org", app: "blog" } },
  ],
  run: (kernel, _invocation, { host, app }) => kernel.net.routes.add(host, kernel.app.get(app).id),
});

const ls = call({
  summary: "List which host is whose",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Route),
  examples: [{ say: "All routes", input: {} }],
  run: (kernel) => kernel.net.routes.ls(),
});

const rm = call({
  summary: "Remove a route that was added",
  needs: "net:write",
  errors: ["ENOENT", "EINVAL", "ENOSPC"],
  effect: "destroy",
  args: ["host"],
  input: z.object({ host: Host }),
  output: z.object({ host: z.string().describe("the host that is free now") }),
  examples: [{ say: "Take the name away again", input: { host: "blog.example.org" } }],
  run: async (kernel, _invocation, { host }) => {
    await kernel.net.routes.rm(host);
    return { host };
  },
});

const status = call({
  summary: "Show the listener and what it has answered",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.object({
    http: z.string().nullable().describe("base URL of the HTTP listener, null when there is none"),
    https: z
      .string()
      .nullable()
      .describe("base URL of the HTTPS listener, null when there is none"),
    requests: z.int().describe("answered since boot"),
    connections: z.int().describe("requests and WebSockets under way"),
    webSockets: z.int().describe("WebSockets open now"),
    open: z.int().describe("connections a second ago at most, idle ones too"),
    ended: z
      .object({
        head: z.int().describe("their request was not whole in time"),
        body: z.int().describe("their body stood still"),
        read: z.int().describe("they did not read what they had asked for"),
        cap: z.int().describe("there were too many, of one client or of all"),
        deny: z.int().describe("their network was denied"),
      })
      .describe("connections the kernel ended since boot"),
    byClass: z.record(z.string(), z.int()).describe("answers by class of status, such as 2xx"),
    latency: z
      .array(
        z.object({
          leMs: z.number().nullable().describe("upper bound in milliseconds, null for the rest"),
          count: z.int().describe("answers in this bucket alone"),
        }),
      )
      .describe("answers by the time until their head was sent"),
  }),
  examples: [{ say: "How busy is it?", input: {} }],
  run: (kernel) => {
    const { byClass, latency, ended, ...rest } = kernel.net.status();
    return { ...rest, ended: { ...ended }, byClass: { ...byClass }, latency: [...latency] };
  },
});

export const net = {
  route: { add, ls, rm },
  cert,
  acme,
  redirect,
  primary,
  rest,
  client,
  limit,
  access,
  top,
  doctor,
  egress,
  fetch: fetchCall,
  status,
};
