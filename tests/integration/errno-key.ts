/**
 * The errnos of the machine key's calls: who may not see it, a key that is away, one that is none.
 */
import { renameSync } from "node:fs";
import { join } from "node:path";
import { type Caller, localOwner } from "../../kernel/caller.ts";
import type { Case, World } from "./errno-world.ts";

const away = (address: string): Caller => ({ ...localOwner("socket"), via: "token", address });
const clerk: Caller = { ...away("192.0.2.15"), kind: "user", grants: ["security:*"] };

/** Guesses at the password until nobody may for a while. */
async function guessing({ k }: World): Promise<unknown> {
  const from = away("192.0.2.13");
  const wrong = { current: "not this one at all" };
  for (let i = 0; i < 5; i++) {
    await k.call("security.key.show", wrong, { from }).catch(() => null);
  }
  return k.call("security.key.show", wrong, { from });
}

/** Asks for the key while it is gone. */
async function withoutKey({ k }: World): Promise<unknown> {
  const path = join(k.dataDir, "machine.key");
  renameSync(path, `${path}.away`);
  try {
    return await k.call("security.key.show");
  } finally {
    renameSync(`${path}.away`, path);
  }
}

export const keyCases: readonly Case[] = [
  ["security.key.show", "EAGAIN", guessing],
  ["security.key.show", "EKEYREJECTED", {}, () => ({ from: away("192.0.2.14") })],
  ["security.key.show", "ENOENT", withoutKey],
  ["security.key.show", "EPERM", {}, () => ({ from: clerk })],
  ["security.key.set", "EINVAL", { key: "AAAA" }],
  ["security.key.set", "EKEYREJECTED", { key: Buffer.alloc(32, 9).toString("base64") }],
  ["security.key.renew", "EEXIST", {}],
];
