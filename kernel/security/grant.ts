/**
 * Giving rights: the shape of capabilities, and the rule that nobody gives or takes away what they
 * do not hold themselves.
 */
import { allows, type Caller, type Capability } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Reader } from "../storage/mod.ts";
import { capabilitiesMax } from "./limits.ts";

/** Capabilities a giver may pass on, each once. EINVAL (shape), EPERM (more than the giver's). */
export function parseGrants(grants: readonly string[], capabilities: readonly string[]): string[] {
  const wanted = [...new Set(capabilities)];
  if (wanted.length === 0 || wanted.length > capabilitiesMax) {
    throw new SysError("EINVAL", `cannot grant ${wanted.length} capabilities: 1 to 64 are needed`, {
      hint: 'name what it may do, such as "app:deploy" or "fs:*"',
    });
  }
  const bad = wanted.find((one) => !/^(\*|[a-z][a-z0-9-]*:(\*|[a-z][a-z0-9-]*))$/.test(one));
  if (bad !== undefined) {
    throw new SysError("EINVAL", `cannot grant "${bad.slice(0, 80)}": not a capability`, {
      hint: 'write "domain:verb", "domain:*" or "*"',
    });
  }
  const beyond = wanted.find((one) => !allows(grants, one as Capability));
  if (beyond === undefined) return wanted;
  throw new SysError("EPERM", `cannot grant "${beyond}": the giver does not hold it`, {
    hint: "grant only what you hold yourself: fazt security whoami",
  });
}

/** EPERM with `what` when a caller holds less than these capabilities. */
export function assertHolds(from: Caller, capabilities: readonly string[], what: string): void {
  if (capabilities.every((one) => allows(from.grants, one as Capability))) return;
  throw new SysError("EPERM", `cannot ${what}: it has rights the caller lacks`, {
    hint: "ask the owner of the machine",
  });
}

/** The id of the user who gives rights. EPERM for apps, strangers, users that are gone. */
export function giverId(from: Caller, read: Reader): string {
  const select = "SELECT id FROM security_user WHERE id = ?";
  if (from.userId !== null && from.appId === null && read.get(select, from.userId) !== null) {
    return from.userId;
  }
  throw new SysError("EPERM", "cannot give rights: the caller is no user of this machine", {
    hint: "log in; on a machine without an owner, claim it first",
  });
}

/** There are as many of something as there may be. */
export function full(what: string, max: number): SysError {
  return new SysError("EDQUOT", `cannot add more ${what}: there are ${max}`, {
    hint: "remove some first",
  });
}
