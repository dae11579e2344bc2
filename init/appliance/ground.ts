/**
 * What the kernel stands on: the data partition, directories, the firewall. systemd starts fazt
 * before they are there, because loading the program takes as long as the disks do; here it waits.
 */

const target = "fazt-ground.target";

/**
 * Resolves when systemd has mounted what it can, also when that is not all: the boot finds out and
 * says what is missing. Off the appliance nothing is waited for.
 */
export async function awaitGround(): Promise<void> {
  if (process.env["NOTIFY_SOCKET"] === undefined) return;
  const child = Bun.spawn(["systemctl", "start", target], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await child.exited;
}
