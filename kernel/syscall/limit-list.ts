/**
 * Every limit of the system in one list, `domain.name: value`, unit in the name: the text of
 * `/sys/limits`. Taken from the domains' own `limits.ts`, so that none can be forgotten.
 */
import { limits as app } from "../app/mod.ts";
import { limits as driver } from "../driver/mod.ts";
import { limits as fs } from "../fs/mod.ts";
import { clientLimits, egressLimits, limits as net } from "../net/mod.ts";
import { limits as proc } from "../proc/mod.ts";
import { limits as mode } from "../proc/mode/mod.ts";
import { limits as security } from "../security/mod.ts";
import { limits as storage } from "../storage/mod.ts";
import * as syscall from "./limits.ts";

/** Numbers of a module, and of the tables in it. */
function* numbers(of: object): Generator<[string, number]> {
  for (const [name, value] of Object.entries(of)) {
    if (typeof value === "number") yield [name, value];
    else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      yield* numbers(value);
    }
  }
}

/** All limits by `domain.name`, sorted; `adjusted` are those that its owner may have changed. */
export function limitList(
  adjusted: readonly { readonly name: string; readonly value: number }[],
): Record<string, number> {
  const domains = {
    app,
    driver,
    fs,
    mode,
    net: { ...net, client: clientLimits, egress: egressLimits },
    proc,
    security,
    storage,
    syscall,
  };
  const rows = Object.entries(domains).flatMap(([domain, module]) =>
    [...numbers(module)].map(([name, value]) => [`${domain}.${name}`, value] as const),
  );
  const now = adjusted.map(({ name, value }) => [name, value] as const);
  return Object.fromEntries([...rows, ...now].sort(([a], [b]) => (a < b ? -1 : 1)));
}
