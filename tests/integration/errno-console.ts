/**
 * The errnos of what is done at the machine itself: the password replaced, power, probes.
 */
import { localOwner } from "../../kernel/caller.ts";
import { type Case, password } from "./errno-world.ts";

const away = { ...localOwner("socket"), via: "token", address: "192.0.2.30" } as const;

export const consoleCases: readonly Case[] = [
  ["security.recover", "EPERM", { password }, () => ({ from: away })],
  ["security.recover", "EINVAL", { password: "x" }],
];

export const fullDiskConsole: readonly Case[] = [
  ["security.recover", "ENOSPC", { password }],
  ["security.acknowledge", "ENOSPC", {}],
];
