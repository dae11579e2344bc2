/**
 * Whether an app may reach a host: what the owner said first, then what its manifest asks for and
 * the owner agreed to by deploying it.
 *
 * Rules: pure; a refusal of the owner's goes before every permission; what nobody allowed is
 * refused; near addresses (`address.ts`) need the owner's word for that very host.
 */
import { covers, type Pattern, type Target } from "./pattern.ts";

/** The owner's word about a host. */
export interface Grant {
  readonly pattern: Pattern;
  readonly allowed: boolean;
  /** Reaches near addresses too. */
  readonly near: boolean;
}

export interface Rules {
  readonly grants: readonly Grant[];
  /** What the release's manifest asks for. */
  readonly asked: readonly Pattern[];
  /** Whether whoever deployed the release could agree to that. */
  readonly agreed: boolean;
}

/** `unasked`: nobody spoke of it; `asked`: the manifest asks and the owner has not agreed. */
export type Verdict =
  | { readonly kind: "allowed"; readonly near: boolean }
  | { readonly kind: "denied" | "asked" | "unasked" };

export function decide({ grants, asked, agreed }: Rules, target: Target): Verdict {
  const spoken = grants.filter(({ pattern }) => covers(pattern, target));
  if (spoken.some(({ allowed }) => !allowed)) return { kind: "denied" };
  if (spoken.length > 0) return { kind: "allowed", near: spoken.some(({ near }) => near) };
  if (!asked.some((pattern) => covers(pattern, target))) return { kind: "unasked" };
  return agreed ? { kind: "allowed", near: false } : { kind: "asked" };
}
