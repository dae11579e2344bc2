/**
 * Many certificates, and short-lived ones: a hundred hosts at once, and renewals while a client that
 * is not ours asks all the time.
 */
import { expect, test } from "bun:test";
import type { CertInfo } from "../../kernel/net/mod.ts";
import { Stage, zone } from "../acme-stage.ts";
import { run, until } from "../process.ts";

test("a hundred domains are issued, nonces refused now and then", async () => {
  await using stage = await Stage.open();
  await stage.use();
  const hosts = Array.from({ length: 100 }, (_, i) => `host-${i}.${zone}`);
  for (const host of hosts) await stage.route(host);
  const certs = await until(
    "a hundred certificates",
    async () => {
      const all = await stage.machine.call<CertInfo[]>("net.cert.ls");
      const good = all.filter(({ issuer, fingerprint }) => issuer === "acme" && fingerprint);
      return good.length === 100 ? good : null;
    },
    150_000,
  );
  expect(new Set(certs.map(({ fingerprint }) => fingerprint)).size).toBe(100);
  expect(certs.map(({ name }) => name).toSorted()).toEqual(hosts.toSorted());
  expect(stage.pebble.log().match(/Issued certificate serial/g)?.length).toBe(100);
}, 180_000);

test("short-lived certificates are renewed under load, and no request fails", async () => {
  await using stage = await Stage.open({ lifeS: 15 });
  await stage.use();
  const host = `short.${zone}`;
  await stage.route(host);
  const first = await stage.issued(host);
  const url = `https://127.0.0.1:${stage.httpsPort}/`;
  const load = ["wrk", "-t1", "-c8", "-d25s", "--timeout", "10s", "-H", `Host: ${host}`, url];
  const { stdout } = await run(load);
  expect(Number(/(\d+) requests in/.exec(stdout)?.[1])).toBeGreaterThan(100);
  expect(stdout).not.toContain("Socket errors");
  expect(stdout).not.toContain("Non-2xx");
  const last = await stage.cert(host);
  expect(last.problem).toBeNull();
  expect(last.fingerprint).not.toBe(first.fingerprint);
  // Twenty-five seconds of certificates that live fifteen and are renewed after ten.
  expect((last.issuedAt ?? 0) - (first.issuedAt ?? 0)).toBeGreaterThanOrEqual(18_000);
}, 90_000);
