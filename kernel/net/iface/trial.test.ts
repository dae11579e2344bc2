/** Every event in every state of a change on trial, and that no path loses what is confirmed. */
import { expect, test } from "bun:test";
import { automatic, type Network } from "./config.ts";
import { stepTrial, type TrialEvent, type TrialState } from "./trial.ts";

const named = (hostname: string): Network => ({ ...automatic, hostname });
const old = named("old");
const next = named("next");
const newer = named("newer");

const settled: TrialState = { confirmed: old, trial: null };
const trying: TrialState = { confirmed: old, trial: { network: next, untilMs: 30 } };

/** `confirmed/trial`, and the actions by name with the network they apply. */
function told(state: TrialState, event: TrialEvent): string {
  const [after, actions] = stepTrial(state, event);
  const done = actions.map((action) =>
    action.kind === "apply" ? `apply ${action.network.hostname}` : action.kind,
  );
  return `${after.confirmed.hostname}/${after.trial?.network.hostname ?? "-"}: ${done.join(", ")}`;
}

const set: TrialEvent = { kind: "set", network: newer, untilMs: 60 };
const provision: TrialEvent = { kind: "provision", network: newer };

test.each([
  [settled, set, "old/newer: save, arm, apply newer"],
  [settled, { kind: "confirm" }, "old/-: "],
  [settled, { kind: "deadline" }, "old/-: "],
  [settled, { kind: "failed" }, "old/-: "],
  [settled, { kind: "start" }, "old/-: apply old"],
  [settled, provision, "newer/-: disarm, save, apply newer"],
  [trying, set, "old/newer: save, arm, apply newer"],
  [trying, { kind: "confirm" }, "next/-: save, disarm"],
  [trying, { kind: "deadline" }, "old/-: disarm, apply old, save"],
  [trying, { kind: "failed" }, "old/-: disarm, apply old, save"],
  [trying, { kind: "start" }, "old/-: apply old, save"],
  [trying, provision, "newer/-: disarm, save, apply newer"],
] as const)("%j, %j", (state, event, result) => {
  expect(told(state, event)).toBe(result);
});
