/**
 * A change of the network, on trial until its owner says that they still reach the machine. Pure:
 * the state and an event give the next state and what is to be done, in order.
 *
 * Invariants
 * 1. What is confirmed changes by `confirm` and `provision` alone.
 * 2. A trial ends by `confirm`, by its deadline or by a start of the kernel; the last two bring
 *    back what is confirmed, so a kernel that dies during a trial reverts it.
 * 3. A trial is on the disk before it is on the wire.
 * Transitions: settled --set--> trial --confirm--> settled (new) ; trial --set--> trial (newer) ;
 * trial --deadline, start, failed--> settled (old).
 */
import type { Network } from "./config.ts";

export interface TrialState {
  readonly confirmed: Network;
  readonly trial: { readonly network: Network; readonly untilMs: number } | null;
}

export type TrialEvent =
  | { readonly kind: "set"; readonly network: Network; readonly untilMs: number }
  | { readonly kind: "confirm" }
  | { readonly kind: "deadline" }
  /** The kernel starts, whatever happened before. */
  | { readonly kind: "start" }
  /** The system refused the trial's configuration. */
  | { readonly kind: "failed" }
  /** First boot's own configuration: nobody is cut off who could confirm. */
  | { readonly kind: "provision"; readonly network: Network };

/** `save`: the state to the disk. `apply`: to the system. `arm`, `disarm`: the deadline. */
export type TrialAction =
  | { readonly kind: "save" }
  | { readonly kind: "apply"; readonly network: Network }
  | { readonly kind: "arm"; readonly untilMs: number }
  | { readonly kind: "disarm" };

export type TrialStep = readonly [TrialState, readonly TrialAction[]];

/** What an event makes of a state. */
export function stepTrial(state: TrialState, event: TrialEvent): TrialStep {
  const { confirmed, trial } = state;
  const settled = (network: Network): TrialState => ({ confirmed: network, trial: null });
  switch (event.kind) {
    case "set": {
      const { network, untilMs } = event;
      const apply = { kind: "apply", network } as const;
      return [
        { confirmed, trial: { network, untilMs } },
        [{ kind: "save" }, { kind: "arm", untilMs }, apply],
      ];
    }
    case "confirm":
      if (trial === null) return [state, []];
      return [settled(trial.network), [{ kind: "save" }, { kind: "disarm" }]];
    case "deadline":
    case "failed":
      if (trial === null) return [state, []];
      // On the wire first: the disk may be what is wrong, and a restart reverts as well.
      return [
        settled(confirmed),
        [{ kind: "disarm" }, { kind: "apply", network: confirmed }, { kind: "save" }],
      ];
    case "start":
      return [
        settled(confirmed),
        [
          { kind: "apply", network: confirmed },
          ...(trial === null ? [] : [{ kind: "save" } as const]),
        ],
      ];
    case "provision":
      return [
        settled(event.network),
        [{ kind: "disarm" }, { kind: "save" }, { kind: "apply", network: event.network }],
      ];
  }
}
