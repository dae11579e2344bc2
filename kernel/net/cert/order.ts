/**
 * One certificate on its way: a pure state machine (RFC 8555, 7.1.6 seen from the client).
 *
 *     waiting → planned → ordered → setting → answering → checking → finalizing → issued → waiting
 *
 * Invariants
 * 1. Every state is written before what it asks for is done, and what a state asks for may be done
 *    twice: whoever is killed goes on where the row says.
 * 2. The certificate's key is written with `planned`, before an authority hears of it.
 * 3. A failure that may pass by itself keeps the state; any other ends in `waiting`, with a reason
 *    and a later time. Records that were set for a proof are taken away in `waiting`.
 */
import {
  failureMsFirst,
  failureMsMax,
  pollMsFirst,
  pollMsMax,
  transientMsFirst,
  transientTriesMax,
} from "./limits.ts";

/** What an authority wants to see before it believes that a name is ours. */
export interface Proof {
  /** Without `*.`. */
  readonly name: string;
  readonly kind: "http-01" | "dns-01";
  /** Where the answer is posted, and the token it is about. */
  readonly url: string;
  readonly token: string;
  /** What is shown: the key authorization, or the TXT record's value. */
  readonly value: string;
  /** Whether it has been answered already, as the authority sees it. */
  readonly answered: boolean;
}

export type Step =
  | { readonly kind: "waiting"; readonly leftovers: readonly Proof[] }
  | { readonly kind: "planned" }
  | { readonly kind: "ordered"; readonly url: string }
  | {
      readonly kind: "setting" | "answering" | "checking" | "finalizing";
      readonly url: string;
      readonly proofs: readonly Proof[];
    }
  | {
      readonly kind: "issued";
      readonly url: string;
      readonly proofs: readonly Proof[];
      readonly certificate: string;
    };

/** Why it does not go on, for a person. */
export interface Problem {
  /** Unix ms. */
  readonly at: number;
  readonly text: string;
}

export interface Order {
  readonly step: Step;
  /** Nothing is done before, Unix ms. */
  readonly at: number;
  /** Failures, or looks without news, one after another. */
  readonly tries: number;
  readonly problem: Problem | null;
}

/** What the authority says of an order. */
export interface Seen {
  readonly status: "pending" | "ready" | "processing" | "valid" | "invalid";
  /** What is still to be proved. */
  readonly proofs: readonly Proof[];
  readonly certificate: string | null;
  /** Why it is invalid. */
  readonly error: string | null;
  readonly retryAfterMs: number | null;
}

export type Event =
  | { readonly kind: "due" }
  | { readonly kind: "ordered"; readonly url: string }
  | { readonly kind: "seen"; readonly seen: Seen }
  | { readonly kind: "set" }
  | { readonly kind: "answered" }
  | { readonly kind: "installed"; readonly renewAt: number }
  | { readonly kind: "unset" }
  | {
      readonly kind: "failed";
      readonly text: string;
      /** Whether it may pass by itself: the network, a busy authority. */
      readonly transient: boolean;
      readonly retryAfterMs: number | null;
    };

/** When it is, and chance in [0, 1) for jitter. */
export interface Moment {
  readonly now: number;
  readonly chance: number;
}

/** What a state asks for; done again after a restart. */
export type Action =
  | "plan"
  | "order"
  | "look"
  | "set"
  | "answer"
  | "finalize"
  | "download"
  | "unset";

/** The action of the state. Pure. */
export function actionOf({ step }: Order): Action {
  switch (step.kind) {
    case "waiting":
      return step.leftovers.length > 0 ? "unset" : "plan";
    case "planned":
      return "order";
    case "ordered":
    case "checking":
      return "look";
    case "setting":
      return "set";
    case "answering":
      return "answer";
    case "finalizing":
      return "finalize";
    case "issued":
      return "download";
  }
}

/** When the state's action is due, Unix ms: what was left behind is taken away at once. */
export function dueAt({ step, at }: Order): number {
  return step.kind === "waiting" && step.leftovers.length > 0 ? 0 : at;
}

/** Whether nothing is under way, nor anything left to be taken away. */
export function isIdle({ step }: Order): boolean {
  return step.kind === "waiting" && step.leftovers.length === 0;
}

/** An order for a name nobody has asked for yet. */
export function newOrder(at: number): Order {
  return { step: { kind: "waiting", leftovers: [] }, at, tries: 0, problem: null };
}

/** The state after an event. Pure; an event that does not fit changes nothing. */
export function advance(order: Order, event: Event, moment: Moment): Order {
  const { step } = order;
  const go = (next: Step): Order => ({ ...order, step: next, at: moment.now, tries: 0 });
  switch (event.kind) {
    case "due":
      return step.kind === "waiting" ? { ...order, step: { kind: "planned" } } : order;
    case "ordered":
      return step.kind === "planned" ? go({ kind: "ordered", url: event.url }) : order;
    case "seen":
      return "url" in step && step.kind !== "issued" ? look(order, event.seen, moment) : order;
    case "set":
      return step.kind === "setting" ? go({ ...step, kind: "answering" }) : order;
    case "answered":
      return step.kind === "answering" ? go({ ...step, kind: "checking" }) : order;
    case "installed": {
      if (step.kind !== "issued") return order;
      const waiting: Step = { kind: "waiting", leftovers: leftovers(step) };
      return { step: waiting, at: event.renewAt, tries: 0, problem: null };
    }
    case "unset":
      return step.kind === "waiting"
        ? { ...order, step: { kind: "waiting", leftovers: [] } }
        : order;
    case "failed":
      return fail(order, event, moment);
  }
}

/** What the authority's word makes of an order that has a URL. */
function look(order: Order, seen: Seen, moment: Moment): Order {
  const step = order.step as Extract<Step, { url: string }>;
  const proofs = "proofs" in step ? step.proofs : [];
  const { url } = step;
  const go = (next: Step): Order => ({ ...order, step: next, at: moment.now, tries: 0 });
  const again = (kind: "checking" | "finalizing"): Order => {
    const waitMs = Math.max(grow(pollMsFirst, order.tries, pollMsMax), seen.retryAfterMs ?? 0);
    const next = { kind, url, proofs } as const;
    return { ...order, step: next, at: moment.now + waitMs, tries: order.tries + 1 };
  };
  switch (seen.status) {
    case "invalid": {
      const text = seen.error ?? "the authority refused without a reason";
      return fail(order, { text, transient: false, retryAfterMs: null }, moment);
    }
    case "valid":
      if (seen.certificate === null) return again("finalizing");
      return go({ kind: "issued", url, proofs, certificate: seen.certificate });
    case "ready":
      return go({ kind: "finalizing", url, proofs });
    case "processing":
      return again("finalizing");
    case "pending":
      if (step.kind === "ordered") return go({ kind: "setting", url, proofs: seen.proofs });
      // What has been answered is looked at again, what has not is answered.
      return seen.proofs.every(({ answered }) => answered)
        ? again("checking")
        : go({ kind: "answering", url, proofs: merge(proofs, seen.proofs) });
  }
}

/** What was set, with what the authority still wants to be told of; none is forgotten. */
function merge(known: readonly Proof[], open: readonly Proof[]): Proof[] {
  const byUrl = new Map(open.map((proof) => [proof.url, proof]));
  return known.map((proof) => byUrl.get(proof.url) ?? { ...proof, answered: true });
}

/** Only DNS records outlive an order; what HTTP shows goes with it. */
function leftovers(step: Step): readonly Proof[] {
  return "proofs" in step ? step.proofs.filter(({ kind }) => kind === "dns-01") : [];
}

function fail(
  order: Order,
  failed: { text: string; transient: boolean; retryAfterMs: number | null },
  { now, chance }: Moment,
): Order {
  const { step, tries } = order;
  // What could not be taken away is left where it is: the certificate is not the worse for it.
  if (step.kind === "waiting") return { ...order, step: { kind: "waiting", leftovers: [] } };
  const problem = { at: now, text: failed.text };
  const jitter = 0.8 + 0.4 * chance;
  const stays = failed.transient && tries < transientTriesMax;
  const first = stays ? transientMsFirst : failureMsFirst;
  const waitMs = Math.max(grow(first, tries, failureMsMax) * jitter, failed.retryAfterMs ?? 0);
  const at = now + Math.round(waitMs);
  const next: Step = stays ? step : { kind: "waiting", leftovers: leftovers(step) };
  return { step: next, at, tries: tries + 1, problem };
}

/** 1, 2, 4 … times the first, up to a limit. */
function grow(firstMs: number, tries: number, maxMs: number): number {
  return Math.min(firstMs * 2 ** Math.min(tries, 30), maxMs);
}
