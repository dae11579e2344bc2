/**
 * A DNS provider: whoever's interface sets TXT records in a zone of the owner's.
 *
 * Guarantees of every implementation
 * 1. `set` answers when the provider has taken the record; setting what is there changes nothing.
 * 2. Values that are there beside it under the same name stay: a wildcard and its parent are proved
 *    under one name at once.
 * 3. `unset` takes away that value alone, and is content when it is gone.
 * 4. The zone is the longest the provider knows that the name ends in.
 * 5. A failure is a ProviderError: what was tried, what the provider said, whether it may pass.
 */
export interface DnsProvider {
  /** Adds a TXT record; `name` without a final dot. */
  set(name: string, value: string): Promise<void>;
  unset(name: string, value: string): Promise<void>;
}

/** What a provider refused, or that it could not be reached. */
export class ProviderError extends Error {
  readonly transient: boolean;

  constructor(text: string, transient: boolean) {
    super(text);
    this.transient = transient;
  }
}

/** Zones that could hold a name, longest first: `a.b.c` is in `a.b.c`, `b.c` or `c`. */
export function zonesOf(name: string): string[] {
  const labels = name.split(".");
  return labels.slice(0, -1).map((_, i) => labels.slice(i).join("."));
}
