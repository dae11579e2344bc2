/**
 * The one program. Its lives in one file: an app's process (`app-child`, the first test, because
 * its cold start is what a visitor waits for), the processes that copy backups and cartridges, the kernel (`proc start`,
 * `proc init`), and the `fazt` command. Each is loaded only when it is the one.
 */
const [word] = process.argv.slice(2);

if (word === "app-child") {
  const { runChild } = await import("../kernel/proc/child.ts");
  await runChild();
} else if (word === "cartridge-child") {
  const { runCartridgeChild } = await import("../kernel/app/cartridge/child.ts");
  process.exitCode = await runCartridgeChild(process.argv.slice(3));
} else if (word === "cartridge-reader") {
  const { runCartridgeReader } = await import("../kernel/app/cartridge/child-read.ts");
  process.exitCode = await runCartridgeReader();
} else if (word === "backup-reader") {
  const { runBackupReader } = await import("../kernel/storage/backup/child-check.ts");
  process.exitCode = await runBackupReader();
} else if (word === "storage-child") {
  const { runStorageChild } = await import("../kernel/storage/backup/child.ts");
  process.exitCode = await runStorageChild();
} else if (word === "check-child") {
  const { runCheckChild } = await import("../kernel/storage/check/child.ts");
  process.exitCode = await runCheckChild();
} else if (word === "volume-child") {
  const { runVolumeChild } = await import("../kernel/proc/volume/child.ts");
  await runVolumeChild();
} else if (word === "reaper") {
  const { runReaper } = await import("../kernel/proc/sandbox/child.ts");
  await runReaper(process.argv.slice(3));
} else if (word === "upgrade-child") {
  const { runSuccessor } = await import("./upgrade/successor.ts");
  process.exit(await runSuccessor());
} else if (word === "upgrade-check") {
  const { runCheck } = await import("./upgrade/check.ts");
  process.exitCode = await runCheck(process.argv.slice(3));
} else if (word === "replicator") {
  const { runReplicator } = await import("../kernel/driver/child.ts");
  process.exitCode = await runReplicator();
} else {
  const { runCli } = await import("../cli/main.ts");
  process.exitCode = await runCli(process.argv.slice(2), {
    "proc start": async (args) => (await import("./start.ts")).start(args),
    console: async (args) => (await import("./console/run.ts")).runConsole(args),
    init: async (args) => (await import("./appliance/run.ts")).runAppliance(args),
    "proc init": async (args) => (await import("./claim.ts")).claim(args),
    "security hash": async (args) => (await import("./hash.ts")).hash(args),
    "driver replica restore": async (args) => (await import("./replica.ts")).restoreReplica(args),
    "storage restore": async (args) => (await import("./restore.ts")).restore(args),
    "storage verify": async (args) => (await import("./restore.ts")).verify(args),
  });
}
