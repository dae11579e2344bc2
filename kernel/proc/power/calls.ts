/**
 * The calls of the machine's power: `proc.reboot` and its kin.
 */
import { z } from "zod";
import { call } from "../../call.ts";

const Begun = z.object({ done: z.literal(true).describe("always true: it has begun") });
const begun = { done: true } as const;

const reboot = call({
  summary: "Restart the machine",
  manual: "Apps end their requests first, 30 seconds at most. Only the appliance.",
  needs: "proc:admin",
  errors: ["ENOSYS"],
  effect: "write",
  input: z.object({}),
  output: Begun,
  examples: [{ say: "After an upgrade of the system", input: {} }],
  run: ({ power }) => power.control("reboot").then(() => begun),
});

const poweroff = call({
  summary: "Switch the machine off",
  manual: "Apps end their requests first, 30 seconds at most. Only the appliance.",
  needs: "proc:admin",
  errors: ["ENOSYS"],
  effect: "write",
  input: z.object({}),
  output: Begun,
  examples: [{ say: "Before it is moved", input: {} }],
  run: ({ power }) => power.control("poweroff").then(() => begun),
});

const bootchart = call({
  summary: "Chart the next boot: what it does when, and for how long",
  manual:
    "The boot after the next restart is recorded by systemd-bootchart, and no other. The chart is " +
    "shown in the OS shell, and written with fazt proc chart show -o FILE. Only the appliance.",
  needs: "proc:admin",
  errors: ["ENOSYS"],
  effect: "write",
  idempotent: true,
  input: z.object({}),
  output: z.object({
    armed: z.literal(true).describe("always true: the next boot is charted"),
    lastAt: z.int().nullable().describe("when the last chart was made, Unix ms; null: none"),
  }),
  examples: [{ say: "Why does it start slowly?", input: {} }],
  run: async ({ power }) => {
    const last = await power.chartNext();
    return { armed: true as const, lastAt: last?.at ?? null };
  },
});

const chartLs = call({
  summary: "List the boots that were charted",
  needs: "proc:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(z.object({ at: z.int().describe("when the chart was made, Unix ms") })),
  examples: [{ say: "Is there a chart yet?", input: {} }],
  run: ({ power }) => {
    const last = power.lastChart();
    return last === null ? [] : [{ at: last.at }];
  },
});

const chartShow = call({
  summary: "Show the chart of the last boot that was charted, as SVG",
  needs: "proc:read",
  errors: ["ENOENT"],
  effect: "read",
  reply: "bytes",
  input: z.object({}),
  output: z.void(),
  examples: [{ say: "Into a file", input: {} }],
  run: ({ power }) => {
    const file = Bun.file(power.chart().path);
    return { stream: file.stream(), sizeBytes: file.size, contentType: "image/svg+xml" };
  },
});

const reset = call({
  summary: "Erase everything on this machine: apps, files, users, keys",
  manual:
    "Only at the machine itself. It is done when the kernel starts next, for which the appliance is " +
    "restarted at once; the operating system stays. Nothing brings the data back but a backup.",
  needs: "proc:admin",
  errors: ["EINVAL", "EPERM"],
  effect: "destroy",
  input: z.object({ confirm: z.string().max(100).describe("the words: erase everything") }),
  output: Begun,
  examples: [{ say: "Before it is given away", input: { confirm: "erase everything" } }],
  run: ({ power }, { caller }, { confirm }) => power.reset(caller, confirm).then(() => begun),
});

export const power = {
  reboot,
  poweroff,
  bootchart,
  chart: { ls: chartLs, show: chartShow },
  reset,
};
