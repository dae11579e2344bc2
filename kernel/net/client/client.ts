/**
 * Clients: who one is, whether it may come, and how often.
 *
 * Rules: the peer's address is the client's, unless the owner trusts it as a proxy; the OS host has
 * buckets of its own, so that a flood of apps from the owner's own network leaves the owner's login
 * alone; this very machine and allowed networks have no limit but apps' own.
 */
import type { Machine } from "../../machine.ts";
import type { Adjustable, Storage } from "../../storage/mod.ts";
import { isLoopback } from "../host.ts";
import { createBuckets } from "./bucket.ts";
import { forwardedBy } from "./forwarded.ts";
import { type ClientLimits, clientBurstS, limits as standard } from "./limits.ts";
import { clientOf } from "./network.ts";
import { type Asked, type Judgement, judge, type Policy, perSecond } from "./policy.ts";
import { createVerdicts, type Verdicts } from "./verdict.ts";

/** Whose request it is. */
export interface Visitor {
  /** The client's own address; null when the listener does not know it. */
  readonly address: string | null;
  /** The address, or the /64 it is of; "" when it is not known. */
  readonly client: string;
  /** Whether it came by HTTPS, to us or to a proxy the owner trusts. */
  readonly secure: boolean;
  readonly denied: boolean;
  /** Whether the system's own limits are not for it. */
  readonly exempt: boolean;
}

export interface Clients {
  /** A peer as its address alone shows it. */
  peer(address: string): Pick<Visitor, "client" | "denied" | "exempt">;
  visitor(peer: string | null, headers: Headers, secure: boolean): Visitor;
  /** The system's own limit: null when there is none for this client, or it has a token. */
  refuses(visitor: Visitor, host: "os" | "app"): Judgement | null;
  /** What an app's policies say; null when none matches. */
  judge(policies: readonly Policy[], asked: Asked): Judgement | null;
  /** Whether the short way for known files must be left, so that somebody is refused. */
  armed(): boolean;
  /** Says that denied networks do not even reach the listener. */
  filtered(by: boolean): void;
  readonly verdicts: Verdicts;
  /** What holds now of the limits. */
  readonly limits: Readonly<ClientLimits>;
  readonly adjustable: Adjustable;
  close(): void;
}

export interface ClientOptions {
  readonly machine: Machine;
  readonly storage: Storage;
  /** Told when rules have changed. */
  changed(): void;
}

export function createClients({ machine, storage, changed }: ClientOptions): Clients {
  const limits: ClientLimits = { ...standard };
  const names = Object.keys(standard) as (keyof ClientLimits)[];
  const adjustable = storage.adjust({ domain: "net", limits, names });
  const verdicts = createVerdicts({ machine, storage }, changed);
  const buckets = createBuckets(machine);
  const isProxy = (address: string) => verdicts.of(address) === "proxy";
  let own: { readonly rate: number; readonly policies: readonly Policy[] } | null = null;
  let filtered = false;

  const policies = (): readonly Policy[] => {
    const rate = limits.clientRatePerS;
    if (own?.rate !== rate) own = { rate, policies: [perSecond("client", rate, clientBurstS)] };
    return own.policies;
  };

  const peerOf = (address: string) => {
    const verdict = verdicts.of(address);
    const exempt = verdict === "allow" || verdict === "proxy" || isLoopback(address);
    return { client: clientOf(address), denied: verdict === "deny", exempt };
  };

  return {
    peer: peerOf,
    visitor: (peer, headers, secure) => {
      if (peer === null) {
        return { address: null, client: "", secure, denied: false, exempt: false };
      }
      const trusted = isProxy(peer) ? forwardedBy(peer, headers, isProxy) : null;
      const address = trusted?.address ?? peer;
      return { address, secure: trusted?.secure ?? secure, ...peerOf(address) };
    },
    refuses: ({ client, exempt }, host) => {
      if (exempt) return null;
      const asked = { owner: host, client, method: "", pathname: "/" };
      const judgement = judge(policies(), asked, buckets);
      return judgement === null || judgement.admitted ? null : judgement;
    },
    judge: (of, asked) => judge(of, asked, buckets),
    armed: () => verdicts.has("deny") && (!filtered || verdicts.has("proxy")),
    filtered: (by) => {
      filtered = by;
    },
    verdicts,
    limits,
    adjustable,
    close: verdicts.close,
  };
}
