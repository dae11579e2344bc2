/**
 * The call of the support bundle: `proc.support`.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { bundleOf } from "./bundle.ts";

export const support = call({
  summary: "Write what somebody who helps must know of this machine, without its secrets",
  manual:
    "Versions, health, slots, upgrades, storage, tables, limits, apps, routes, the replica, what " +
    "keeps the OS host from being served, and the end of the kernel's own log: JSON, to be read " +
    "before it is given away. Secrets are taken out; apps' logs, files and data are never in it. " +
    "Names of apps and hosts are.",
  needs: "proc:admin",
  errors: [],
  effect: "read",
  audited: true,
  reply: "bytes",
  input: z.object({}),
  output: z.void(),
  examples: [{ say: "Into a file (-o FILE)", input: {} }],
  run: async (kernel) => {
    const whole = new TextEncoder().encode(await bundleOf(kernel));
    const stream = new Blob([whole]).stream();
    return { stream, whole, sizeBytes: whole.length, contentType: "application/json" };
  },
});
