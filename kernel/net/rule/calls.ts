/**
 * The calls of rules: `net.redirect.…` for hosts that lead elsewhere, `net.rest.…` for apps that
 * answer with a page for a while.
 */
import { z } from "zod";
import { call } from "../../call.ts";

const Host = z.string().min(1).max(500).describe("host name that leads elsewhere, exact");

const Redirect = z.object({
  host: z.string().describe("host name that leads elsewhere"),
  to: z.string().describe("where it leads; the path and the query go along"),
  permanent: z.boolean().describe("true: 308, clients remember it; false: 307"),
});

const add = call({
  summary: "Let a host lead to another",
  manual:
    "For a www. beside a bare name (or the other way), a former name, and an app's names beside " +
    "its primary one. The host gets a certificate like any other. A host that was routed to an " +
    "app is refused: remove its route first.",
  needs: "net:write",
  errors: ["EEXIST", "EINVAL", "EDQUOT", "ENOSPC"],
  effect: "write",
  idempotent: true,
  args: ["host", "to"],
  input: z.object({
    host: Host,
    to: z.string().min(1).max(500).describe("host name, or http(s)://HOST[:PORT]"),
    permanent: z.boolean().default(true).describe("false while it may still change"),
  }),
  output: Redirect,
  examples: [
    { say: "One name for the site", input: { host: "www.example.org", to: "example.org" } },
  ],
  run: (kernel, _invocation, input) => kernel.net.redirects.add(input),
});

const ls = call({
  summary: "List hosts that lead to others",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Redirect),
  examples: [{ say: "All redirects", input: {} }],
  run: (kernel) => [...kernel.net.redirects.ls()],
});

const rm = call({
  summary: "Remove a redirect",
  needs: "net:write",
  errors: ["ENOENT", "EINVAL", "ENOSPC"],
  effect: "destroy",
  args: ["host"],
  input: z.object({ host: Host }),
  output: z.object({ host: z.string().describe("the host that leads nowhere now") }),
  examples: [{ say: "Let it be", input: { host: "www.example.org" } }],
  run: async (kernel, _invocation, { host }) => {
    await kernel.net.redirects.rm(host);
    return { host };
  },
});

const Rest = z.object({
  app: z.string().describe("name of the app"),
  resting: z.boolean().describe("whether visitors see the page instead of the app"),
  retryAfterS: z.int().nullable().describe("when they may try again, seconds; null: it is awake"),
});

const set = call({
  summary: "Show visitors of an app a page, or the app again",
  manual:
    "The page says that the app is being worked on, with status 503 and Retry-After. The app " +
    "itself goes on: cron, events and calls reach it.",
  needs: "net:write",
  errors: ["ENOENT", "ENOSPC"],
  effect: "write",
  idempotent: true,
  args: ["app"],
  input: z.object({
    app: z.string().describe("name or id of the app"),
    on: z.boolean().default(true).describe("false: the app answers again"),
    retryAfterS: z.int().min(1).max(86_400).default(300).describe("seconds visitors are told"),
  }),
  output: Rest,
  examples: [{ say: "While the blog is put in order", input: { app: "blog" } }],
  run: async (kernel, _invocation, { app, on, retryAfterS }) => {
    const { id, name } = kernel.app.get(app);
    await kernel.net.rests.set(id, on ? retryAfterS : null);
    return { app: name, resting: on, retryAfterS: on ? retryAfterS : null };
  },
});

const restLs = call({
  summary: "List apps whose visitors are shown a page",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Rest),
  examples: [{ say: "Who rests?", input: {} }],
  run: (kernel) =>
    kernel.net.rests.ls().map(({ appId, retryAfterS }) => ({
      app: kernel.app.get(appId).name,
      resting: true,
      retryAfterS,
    })),
});

const Primary = z.object({
  app: z.string().describe("name of the app"),
  host: z.string().nullable().describe("its other hosts lead there; null: each answers itself"),
});

const primarySet = call({
  summary: "Let an app's other hosts lead to one of them",
  manual:
    "Visitors of the app's other hosts, its name below the machine's domain too, are sent to this " +
    "one with status 308; hosts below a wildcard and parts of hosts stay what they are. Without a " +
    "host each answers for itself again. A www. before a routed host leads to that host anyway, and " +
    "the name without it to a www. that is routed, unless it is routed or redirected itself; it " +
    "has a certificate too, when DNS has both at one address and the host is a domain of its own " +
    "or this one.",
  needs: "net:write",
  errors: ["ENOENT", "EINVAL", "ENOSPC"],
  effect: "write",
  idempotent: true,
  args: ["app", "host"],
  input: z.object({
    app: z.string().describe("name or id of the app"),
    host: z.string().min(1).max(500).optional().describe("host that is routed to the app, exact"),
  }),
  output: Primary,
  examples: [{ say: "One name for the blog", input: { app: "blog", host: "blog.example.org" } }],
  run: (kernel, _invocation, { app, host }) =>
    kernel.net.primaries.set(kernel.app.get(app), host ?? null),
});

const primaryLs = call({
  summary: "List apps whose hosts lead to one of them",
  needs: "net:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Primary),
  examples: [{ say: "All of them", input: {} }],
  run: (kernel) => [...kernel.net.primaries.ls()],
});

export const primary = { set: primarySet, ls: primaryLs };
export const redirect = { add, ls, rm };
export const rest = { set, ls: restLs };
