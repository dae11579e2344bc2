/**
 * The errnos of what apps sign and of the secrets they read: claims that are too large, tokens of
 * nobody, keys and secrets whose bytes are damaged.
 */
import { type Caller, localOwner } from "../../kernel/caller.ts";
import { deployed, okServer } from "../deployed.ts";
import { type Case, serverManifest, type World } from "./errno-world.ts";

const manifest = { ...serverManifest, permissions: ["secret:UNSET", "secret:DAMAGED"] };

/** Makes a call as the process of an app that names two secrets. */
async function asAsker({ k }: World, name: string, input: object): Promise<unknown> {
  if (k.kernel.app.find("asker") === null) {
    await deployed(k, "asker", { files: { "server.js": okServer }, manifest });
  }
  const { id: appId, releaseId } = k.kernel.app.get("asker");
  const from: Caller = { ...localOwner("socket"), kind: "app", via: "app", appId, releaseId };
  return k.call(name, input, { from: { ...from, userId: null, grants: ["security:app"] } });
}

/** A token of the app's own, whose key is damaged meanwhile. */
async function damaged(
  world: World,
  name: string,
  inputOf: (token: string) => object = (token) => ({ token }),
): Promise<unknown> {
  const { k } = world;
  const sign = { claims: { sub: "ada" } };
  const { token } = (await asAsker(world, "security.sign", sign)) as { token: string };
  const turn = "UPDATE security_app_key SET sealed = CAST(? AS BLOB)";
  await k.kernel.storage.write((tx) => tx.run(turn, "no key"));
  try {
    return await asAsker(world, name, inputOf(token));
  } finally {
    await k.kernel.storage.write((tx) => tx.run("DELETE FROM security_app_key"));
  }
}

async function damagedSecret(world: World): Promise<unknown> {
  const { k } = world;
  await asAsker(world, "security.user.of", { token: null });
  await k.call("app.env.set", { app: "asker", name: "DAMAGED", secret: "one" });
  const turn = "UPDATE app_env SET sealed = CAST(? AS BLOB) WHERE name = 'DAMAGED'";
  await k.kernel.storage.write((tx) => tx.run(turn, "no secret"));
  return await asAsker(world, "security.secret", { name: "DAMAGED" });
}

const large = { claims: { sub: "x".repeat(4_000) } };

export const signingCases: readonly Case[] = [
  ["security.sign", "EFBIG", (w) => asAsker(w, "security.sign", large)],
  ["security.sign", "EBADMSG", (w) => damaged(w, "security.sign", () => ({ claims: {} }))],
  ["security.verify", "EBADMSG", (w) => damaged(w, "security.verify")],
  ["security.verify", "EKEYREJECTED", (w) => asAsker(w, "security.verify", { token: "a.b.c" })],
  ["security.user.of", "EBADMSG", (w) => damaged(w, "security.user.of")],
  ["security.secret", "EACCES", (w) => asAsker(w, "security.secret", { name: "OTHER" })],
  ["security.secret", "ENOENT", (w) => asAsker(w, "security.secret", { name: "UNSET" })],
  ["security.secret", "EBADMSG", damagedSecret],
];
