/**
 * The call of the doctor: `net.doctor HOST`. It may take some seconds: it looks from outside.
 */
import { z } from "zod";
import { call } from "../../call.ts";

export const doctor = call({
  summary: "Say what keeps a host from being served, and what to do",
  manual:
    "Looks at the host's route, DNS, ports 80 and 443 as they are reached from this machine, CAA " +
    "records, certificate and at this machine's clock. A check that could not be made says so.",
  needs: "net:read",
  errors: ["EINVAL"],
  effect: "read",
  args: ["host"],
  input: z.object({ host: z.string().min(1).max(500).describe("host name, exact") }),
  output: z.array(
    z.object({
      check: z
        .enum(["route", "dns", "http", "https", "caa", "certificate", "clock"])
        .describe("what was looked at"),
      ok: z.boolean().nullable().describe("null: it could not be told, or need not be wrong"),
      says: z.string().describe("what was seen"),
      hint: z.string().nullable().describe("what to do, null when nothing is to be done"),
    }),
  ),
  examples: [{ say: "Why is my blog not there?", input: { host: "blog.example.org" } }],
  run: (kernel, _invocation, { host }) => kernel.net.doctor(host),
});
