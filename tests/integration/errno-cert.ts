/**
 * The errnos of certificates: what is not there, settings that cannot be, a disk that is full.
 */
import type { Case } from "./errno-world.ts";

export const certCases: readonly Case[] = [
  ["net.cert.show", "ENOENT", { name: "none.example" }],
  ["net.cert.renew", "ENOENT", { name: "none.example" }],
  [
    "net.cert.renew",
    "EINVAL",
    async ({ k }) => {
      await k.kernel.net.certs.open();
      return k.call("net.cert.renew", { name: "self-signed" });
    },
  ],
  ["net.acme.set", "EINVAL", { provider: "hetzner" }],
];

export const fullDiskCerts: readonly Case[] = [["net.acme.set", "ENOSPC", { on: false }]];
