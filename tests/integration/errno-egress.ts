/**
 * The errnos of egress: hosts that nobody allowed, names that are none, servers that are down or
 * say nothing, more requests than an app may make.
 */
import type { Caller } from "../../kernel/caller.ts";
import { realMachine } from "../../kernel/machine.ts";
import { egressInFlightMax, grantsMax } from "../../kernel/net/egress/limits.ts";
import { deployed } from "../deployed.ts";
import { testKernel } from "../kernel.ts";
import type { Case, World } from "./errno-world.ts";

/** An app whose requests go to what `resolve` says, on a kernel where waiting is short. */
async function fetching(
  url: (port: number) => string,
  options: { count?: number; signal?: AbortSignal } = {},
): Promise<unknown> {
  const silent = Bun.listen({ port: 0, hostname: "127.0.0.1", socket: { data: () => undefined } });
  const real = realMachine();
  const machine = { ...real, after: (ms: number, run: () => void) => real.after(ms / 100, run) };
  const resolve = async (host: string) => {
    if (host.startsWith("absent")) throw new Error("no such name");
    return ["127.0.0.1"];
  };
  await using k = await testKernel({ machine, resolve });
  try {
    await deployed(k, "shop", { files: { "index.html": "<p>" } });
    for (const host of ["*", `*:${silent.port}`]) {
      await k.call("net.egress.allow", { app: "shop", host, near: true });
    }
    const { id: appId, releaseId } = k.kernel.app.get("shop");
    const proven = { userId: null, grants: ["net:fetch"], address: null } as const;
    const from: Caller = { kind: "app", via: "app", appId, releaseId, ...proven };
    const { count = 1, signal = new AbortController().signal } = options;
    const input = { url: url(silent.port) };
    const calls = Array.from({ length: count }, () => k.call("net.fetch", input, { from, signal }));
    return await Promise.race(calls);
  } finally {
    silent.stop(true);
  }
}

const asSite = ({ k }: World): Caller => {
  const { id: appId, releaseId } = k.kernel.app.get("site");
  const proven = { userId: null, grants: ["net:fetch"], address: null } as const;
  return { kind: "app", via: "app", appId, releaseId, ...proven };
};

const tooMany = (call: string) => async (w: World) => {
  for (let i = 0; i <= grantsMax; i++) {
    await w.k.call(call, { app: "other", host: `h${i}.example.org` });
  }
};

export const egressCases: readonly Case[] = [
  ["net.egress.ls", "ENOENT", { app: "none" }],
  ["net.egress.allow", "ENOENT", { app: "none", host: "api.example.org" }],
  ["net.egress.deny", "ENOENT", { app: "none", host: "api.example.org" }],
  ["net.egress.allow", "EDQUOT", tooMany("net.egress.allow")],
  ["net.egress.deny", "EDQUOT", tooMany("net.egress.deny")],
  [
    "net.fetch",
    "EACCES",
    (w) => w.k.call("net.fetch", { url: "http://api.example.org/" }, { from: asSite(w) }),
  ],
  ["net.fetch", "ENOENT", () => fetching(() => "http://absent.example.org/")],
  ["net.fetch", "EIO", () => fetching(() => "http://down.example.org/")],
  ["net.fetch", "ETIMEDOUT", () => fetching((port) => `http://silent.example.org:${port}/`)],
  [
    "net.fetch",
    "EAGAIN",
    () =>
      fetching((port) => `http://silent.example.org:${port}/`, { count: egressInFlightMax + 1 }),
  ],
  [
    "net.fetch",
    "ECANCELED",
    () => fetching((port) => `http://silent.example.org:${port}/`, { signal: AbortSignal.abort() }),
  ],
];
