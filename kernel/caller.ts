/**
 * Who is calling. The channel decides (which socket, which token, which session), never an
 * argument; the dispatcher compares the caller's grants with the capability a call needs.
 */

/** `domain:verb`; `public` needs nothing at all; a grant may be `*` or `domain:*`. */
export type Capability = "public" | `${string}:${string}`;

export interface Caller {
  /** `owner`: root of this machine. `app`: a running program. `user`: a person with a token. */
  readonly kind: "owner" | "user" | "app" | "anonymous";
  /** The channel that proved it. */
  readonly via: "socket" | "token" | "session" | "app" | "boot" | "none";
  readonly userId: string | null;
  readonly appId: string | null;
  /** The release the calling process runs; only apps have one. */
  readonly releaseId: string | null;
  /** What this caller may do. */
  readonly grants: readonly string[];
  /** The token or session that proved it; absent on other channels. */
  readonly credentialId?: string;
  /** The peer's address, for slowing and audit; null on local sockets. */
  readonly address: string | null;
}

/** Nobody: a request without credentials. */
export function anonymous(address: string | null): Caller {
  return {
    kind: "anonymous",
    via: "none",
    userId: null,
    appId: null,
    releaseId: null,
    grants: [],
    address,
  };
}

/** The owner at the machine itself: whoever can open the control socket, and boot. */
export function localOwner(via: "socket" | "boot"): Caller {
  return {
    kind: "owner",
    via,
    userId: "root",
    appId: null,
    releaseId: null,
    grants: ["*"],
    address: null,
  };
}

/** Whether `grants` hold `needs`. Pure; the only place where capabilities are compared. */
export function allows(grants: readonly string[], needs: Capability): boolean {
  if (needs === "public") return true;
  const domain = needs.slice(0, needs.indexOf(":"));
  return grants.some((grant) => grant === "*" || grant === needs || grant === `${domain}:*`);
}
