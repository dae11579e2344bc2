/**
 * The calls of what the owner chose of releases: `proc.channel.show` and `proc.channel.set`.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import type { System } from "../system/mod.ts";
import type { Upgrade } from "../upgrade/mod.ts";
import type { Channel } from "./channel.ts";

const Name = z
  .enum(["stable", "edge"])
  .describe("stable: what everybody gets; edge: what is being tried");

const Window = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'must be such as "02:00-05:00"')
  .describe("when an installation may begin by itself, HH:MM-HH:MM in the zone");

const Choice = z.object({
  channel: Name,
  from: z.string().nullable().describe("URL or directory with releases; null: none is set"),
  check: z.boolean().describe("whether it is looked for newer ones once a day"),
  automatic: z.boolean().describe("whether a newer one is installed by itself"),
  window: Window,
  zone: z.string().describe("time zone of the window, a name of the IANA database"),
  arch: z.enum(["x64", "arm64"]).describe("architecture of this machine"),
  running: z.string().describe("version of the program that runs"),
  checkedAt: z.int().nullable().describe("when it was looked last, Unix ms; null: never"),
  nextAt: z.int().nullable().describe("when it is looked next, Unix ms; null: not by itself"),
  found: z
    .object({
      version: z.string().describe("version of a release that does not run here yet"),
      notes: z.string().describe("what its makers say"),
      suits: z.boolean().describe("whether it can be installed here"),
      reason: z.string().nullable().describe("why not, or null"),
    })
    .nullable()
    .describe("what the last look found, or null"),
  problem: z.string().nullable().describe("why the last look failed, or null"),
});

interface About {
  readonly channel: Channel;
  readonly upgrade: Upgrade;
  readonly system: System;
}

function shown({ channel, upgrade, system }: About): z.input<typeof Choice> {
  const { from, checks, begunAt: _, found, ...rest } = channel.setting();
  const { running } = upgrade.slots();
  const runs = system.present() ? [running, system.version()] : [running];
  const isNew = found !== null && !runs.includes(found.version);
  return {
    ...{ ...rest, from, check: checks, running },
    nextAt: checks && from !== null ? rest.nextAt : null,
    arch: process.arch as "x64" | "arm64",
    found: isNew ? found : null,
  };
}

const show = call({
  summary: "Show which releases this machine takes, from where, and whether there is a newer one",
  needs: "proc:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: Choice,
  examples: [{ say: "Is there something new?", input: {} }],
  run: shown,
});

const set = call({
  summary: "Choose which releases this machine takes, from where, and what it does by itself",
  manual:
    "It is looked for a newer release once a day, at a time of this machine's own, and the OS shell " +
    "says when there is one. Installed by itself is only what its owner asked for, and only in the " +
    "window. What is left out stays as it is. fazt proc channel is short for it.",
  needs: "proc:admin",
  errors: ["EINVAL"],
  effect: "write",
  idempotent: true,
  args: ["channel"],
  input: z.object({
    channel: Name.optional(),
    from: z
      .string()
      .max(2000)
      .nullable()
      .optional()
      .describe("an https:// or file:// URL, or a directory of the machine; null: none"),
    check: Choice.shape.check.optional(),
    automatic: Choice.shape.automatic.optional(),
    window: Window.optional(),
    zone: z.string().max(64).optional().describe("time zone of the window, such as Europe/Berlin"),
  }),
  output: Choice,
  examples: [
    { say: "What is being tried", input: { channel: "edge" } },
    {
      say: "By itself, at night",
      input: { automatic: true, window: "02:00-05:00", zone: "Europe/Berlin" },
    },
  ],
  run: async (kernel, _invocation, { channel, from, check, automatic, window, zone }) => {
    await kernel.channel.set({
      ...(channel !== undefined && { channel }),
      ...(from !== undefined && { from }),
      ...(check !== undefined && { checks: check }),
      ...(automatic !== undefined && { automatic }),
      ...(window !== undefined && { window }),
      ...(zone !== undefined && { zone }),
    });
    return shown(kernel);
  },
});

export const choice = { show, set };
