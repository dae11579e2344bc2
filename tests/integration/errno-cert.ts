/**
 * The errnos of certificates, redirects and resting apps: what is not there, settings that cannot be, a disk that is full.
 */
import { createRules } from "../../kernel/net/rule/mod.ts";
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
  ["net.acme.set", "EINVAL", { resolver: "name.server" }],
  ["net.doctor", "EINVAL", { host: "https://x.example" }],
  ["net.redirect.add", "EEXIST", { host: "os.localhost", to: "x.example" }],
  ["net.redirect.add", "EINVAL", { host: "x.example", to: "x.example" }],
  [
    "net.redirect.add",
    "EDQUOT",
    async ({ k }) => {
      const values = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000)";
      await k.kernel.storage.write((tx) =>
        tx.run(`${values} INSERT INTO net_redirect SELECT 'h' || i || '.example', '', 1, 1 FROM n`),
      );
      const { machine, storage, app: apps } = k.kernel;
      const rules = createRules({ machine, storage, apps, changed: () => undefined });
      const wish = { host: "y.example", to: "x.example", permanent: true };
      try {
        return await rules.addRedirect(wish);
      } finally {
        await k.kernel.storage.write((tx) => tx.run("DELETE FROM net_redirect WHERE target = ''"));
      }
    },
  ],
  ["net.redirect.rm", "ENOENT", { host: "none.example" }],
  ["net.redirect.rm", "EINVAL", { host: "a b" }],
  ["net.rest.set", "ENOENT", { app: "nobody" }],
  ["net.primary.set", "ENOENT", { app: "nobody" }],
  ["net.primary.set", "EINVAL", { app: "server", host: "not-its-own.example" }],
];

export const fullDiskCerts: readonly Case[] = [
  ["net.acme.set", "ENOSPC", { on: false }],
  ["net.primary.set", "ENOSPC", { app: "server" }],
  ["net.redirect.add", "ENOSPC", { host: "full.example", to: "x.example" }],
  ["net.redirect.rm", "ENOSPC", { host: "led.example" }],
  ["net.rest.set", "ENOSPC", { app: "server" }],
  ["net.access.set", "ENOSPC", { clients: "hash" }],
];
