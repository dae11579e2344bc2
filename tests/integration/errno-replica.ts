/**
 * The errnos of the replica's calls: none set, a store that refuses or fails, damage, an app that may
 * be writing.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testKernel } from "../kernel.ts";
import { type Fault, startS3 } from "../s3.ts";
import type { Case, World } from "./errno-world.ts";

/** Runs on a kernel that replicates to a directory, which is gone afterwards. */
async function replicated(
  { k }: World,
  work: (root: string) => Promise<unknown>,
): Promise<unknown> {
  const root = mkdtempSync(join(tmpdir(), "fazt-errno-"));
  try {
    await k.call("driver.replica.set", { url: `file://${root}` });
    await k.call("driver.replica.flush");
    return await work(root);
  } finally {
    await k.call("driver.replica.rm");
    rmSync(root, { recursive: true, force: true });
  }
}

/** Makes a call on a kernel whose S3 server was well when it was set. */
const onS3 =
  (fault: Fault, call: string, input: object = {}) =>
  async ({ k }: World): Promise<unknown> => {
    await using s3 = await startS3();
    const { endpoint, keyId, secret } = s3;
    const place = { url: `s3://${s3.bucket}/p`, endpoint, keyId, secret };
    if (call === "driver.replica.set") {
      s3.fault = () => fault;
      return await k.call(call, place);
    }
    await k.call("driver.replica.set", place);
    try {
      s3.fault = () => fault;
      return await k.call(call, input);
    } finally {
      await k.call("driver.replica.rm");
    }
  };

const damaged =
  (call: string, input: object) =>
  (world: World): Promise<unknown> =>
    replicated(world, async (root) => {
      const names = readdirSync(root, { recursive: true }) as string[];
      for (const name of names.filter((each) => each.endsWith("generation.json"))) {
        writeFileSync(join(root, name), "{");
      }
      return world.k.call(call, input);
    });

const server = { app: "server", dryRun: true };
/** A bucket that is not there, on a server that is. */
const noBucket = async ({ k }: World): Promise<unknown> => {
  await using s3 = await startS3();
  const { endpoint, keyId, secret } = s3;
  return await k.call("driver.replica.set", { url: "s3://absent/p", endpoint, keyId, secret });
};

/** Makes the volume of the app a database, so that there is something to replicate. */
const withVolume =
  (work: (world: World) => Promise<unknown>) =>
  async (world: World): Promise<unknown> => {
    await world.k.call("storage.sql", {
      app: "server",
      sql: "CREATE TABLE IF NOT EXISTS t (a)",
      write: true,
    });
    return work(world);
  };

/** Asks an unclaimed kernel to become the machine of this place. */
const adopting =
  (place: (work: (input: object) => Promise<unknown>) => Promise<unknown>) =>
  async (): Promise<unknown> => {
    await using k = await testKernel({ claimed: false, replicaLimits: { tryAgainMs: 1 } });
    const code = k.kernel.security.setupCode();
    return await place((input) => k.call("driver.replica.restoreMachine", { code, ...input }));
  };

/** Works on a directory that holds the replica of this kernel, whole or damaged. */
const fromReplica = (world: World, damage: boolean) =>
  adopting((ask) =>
    replicated(world, (root) => {
      const names = readdirSync(root, { recursive: true }) as string[];
      const records = names.filter((each) => each.endsWith("generation.json"));
      if (damage) for (const name of records) writeFileSync(join(root, name), "{");
      const url = `file://${root}`;
      if (damage) return ask({ url });
      // The second one is asked for while the first one is under way, or has just finished.
      return ask({ url }).then(async (first) => {
        const steps = first as AsyncGenerator<unknown>;
        await steps.next();
        return ask({ url });
      });
    }),
  )();

export const replicaCases: readonly Case[] = [
  ["driver.replica.set", "EINVAL", { url: "ftp://x" }],
  ["driver.replica.set", "ENOENT", noBucket],
  ["driver.replica.set", "EACCES", onS3(403, "driver.replica.set")],
  ["driver.replica.set", "EIO", onS3(500, "driver.replica.set")],
  ["driver.replica.rm", "ENOENT", {}],
  ["driver.replica.ls", "ENOENT", {}],
  ["driver.replica.ls", "EACCES", onS3(403, "driver.replica.ls")],
  ["driver.replica.ls", "EIO", onS3(429, "driver.replica.ls")],
  ["driver.replica.ls", "EBADMSG", damaged("driver.replica.ls", {})],
  ["driver.replica.flush", "ENOENT", {}],
  ["driver.replica.flush", "EIO", onS3("reset", "driver.replica.flush")],
  ["driver.replica.snapshot", "ENOENT", {}],
  ["driver.replica.snapshot", "EIO", onS3(503, "driver.replica.snapshot")],
  ["driver.replica.verify", "ENOENT", {}],
  ["driver.replica.verify", "EACCES", onS3(403, "driver.replica.verify")],
  ["driver.replica.verify", "EIO", onS3(500, "driver.replica.verify")],
  ["driver.replica.restoreMachine", "EEXIST", { url: "file:///nowhere" }],
  ["driver.replica.restoreMachine", "EBADMSG", (world) => fromReplica(world, true)],
  ["driver.replica.restoreMachine", "EBUSY", (world) => fromReplica(world, false)],
  [
    "driver.replica.restoreMachine",
    "ENOENT",
    adopting((ask) => ask({ url: "file:///tmp/fazt-errno-nowhere" })),
  ],
  [
    "driver.replica.restoreMachine",
    "EIO",
    adopting((ask) =>
      ask({ url: "s3://bucket/p", endpoint: "http://127.0.0.1:9", keyId: "a", secret: "b" }),
    ),
  ],
  ["driver.replica.restoreApp", "ENOENT", server],
  ["driver.replica.restoreApp", "EINVAL", { app: "server", at: "noon", dryRun: true }],
  [
    "driver.replica.restoreApp",
    "EBUSY",
    (world) =>
      replicated(world, () => world.k.call("driver.replica.restoreApp", { app: "server" })),
  ],
  ["driver.replica.restoreApp", "EACCES", onS3(403, "driver.replica.restoreApp", server)],
  ["driver.replica.restoreApp", "EIO", onS3(500, "driver.replica.restoreApp", server)],
  [
    "driver.replica.restoreApp",
    "EBADMSG",
    withVolume(damaged("driver.replica.restoreApp", server)),
  ],
];

/** On a full disk. Removing what is not set is refused before it would write. */
export const fullDiskReplica: readonly Case[] = [
  ["driver.replica.set", "ENOSPC", { url: "file:///tmp/fazt-errno-full" }],
];
