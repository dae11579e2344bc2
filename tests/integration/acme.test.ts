/**
 * Certificates end to end: a kernel in its own process, Pebble as the authority, a name server of
 * the test's, and clients that are not ours.
 */
import { describe, expect, test } from "bun:test";
import type { CertInfo } from "../../kernel/net/mod.ts";
import { Stage, shown, zone } from "../acme-stage.ts";
import { run, until } from "../process.ts";

describe("HTTP-01", () => {
  test("a routed host gets its certificate by itself, nonces refused or not", async () => {
    await using stage = await Stage.open({ nonceReject: 25 });
    await stage.use();
    const host = `a.${zone}`;
    await stage.route(host);
    const cert = await stage.issued(host);
    expect(cert).toMatchObject({ issuer: "acme", names: [host], problem: null, step: "waiting" });
    expect(cert.issuedBy).toContain("Pebble");
    await until("the listener shows it", async () => {
      const { print } = await shown(stage.httpsPort, host);
      return print === cert.fingerprint;
    });
    // At two thirds of its life, a little earlier by chance.
    const [from, to, next] = [cert.issuedAt ?? 0, cert.expiresAt ?? 0, cert.nextAt ?? 0];
    const part = (next - from) / (to - from);
    expect(part).toBeGreaterThan(0.64);
    expect(part).toBeLessThan(0.67);
    // HTTP leads there, and what has no route has no certificate.
    const plain = await stage.machine.curl(
      "-o",
      "/dev/null",
      "-w",
      "%{redirect_url}",
      `http://${host}/`,
    );
    expect(plain.stdout).toBe(`https://${host}/`);
    const all = await stage.machine.call<CertInfo[]>("net.cert.ls");
    expect(all.map(({ name }) => name).sort()).toEqual([host, "self-signed"].sort());
    // It is there after a restart, and nobody is asked for it again.
    const orders = () => stage.pebble.log().match(/Added order/g)?.length;
    const before = orders();
    expect(before).toBe(1);
    await stage.machine.restart();
    expect((await stage.cert(host)).fingerprint).toBe(cert.fingerprint);
    expect((await shown(stage.httpsPort, host)).print).toBe(cert.fingerprint ?? "");
    expect(orders()).toBe(before);
  }, 60_000);

  test("a host that cannot be proved says why, and renew tries again at once", async () => {
    await using stage = await Stage.open();
    await stage.use();
    const host = `b.${zone}`;
    stage.names.addresses.set(host, "127.0.0.9");
    await stage.route(host);
    const failing = await until("a reason", async () => {
      const cert = await stage.cert(host);
      return cert.problem === null ? null : cert;
    });
    expect(failing).toMatchObject({ state: "failing", fingerprint: null, step: "waiting" });
    expect(failing.problem?.text).toContain(host);
    expect(failing.problem?.text).toContain("connection");
    expect((failing.nextAt ?? 0) - (failing.problem?.at ?? 0)).toBeGreaterThan(40_000);
    const told = await stage.machine.fazt("net", "cert", "show", host);
    expect(told.stdout).toContain("failing");
    stage.names.addresses.delete(host);
    await stage.machine.call("net.cert.renew", { name: host });
    expect((await stage.issued(host)).problem).toBeNull();
  }, 60_000);
});

describe("www.", () => {
  test("beside a routed zone it has a certificate by itself, and leads there", async () => {
    await using stage = await Stage.open();
    const [www, sub] = [`www.${zone}`, `sub.${zone}`];
    await stage.use();
    await stage.route(zone);
    await stage.route(sub);
    const cert = await until("a certificate for it", () => stage.cert(www).catch(() => null));
    expect(cert.names).toEqual([www]);
    const { fingerprint } = await stage.issued(www);
    await until("the listener shows it", async () => {
      const { print } = await shown(stage.httpsPort, www);
      return print === fingerprint;
    });
    await stage.issued(zone);
    const to = ["--connect-to", `::127.0.0.1:${stage.httpsPort}`, "--insecure"];
    const ask = [
      "--silent",
      "--output",
      "/dev/null",
      "--write-out",
      "%{http_code} %{redirect_url}",
    ];
    const { stdout } = await run(["curl", ...ask, ...to, `https://${www}/a?q=1`]);
    expect(stdout).toBe(`308 https://${zone}/a?q=1`);
    // A name that is no zone of its own has none, though DNS has it; it leads there all the same.
    await stage.issued(sub);
    const all = await stage.machine.call<CertInfo[]>("net.cert.ls");
    expect(all.map(({ name }) => name).toSorted()).toEqual(
      [zone, "self-signed", sub, www].toSorted(),
    );
    const told = await stage.machine.fazt("net", "doctor", `www.${sub}`);
    expect(told.stdout).toContain(`a redirect to ${sub}`);
    expect(told.stdout).toContain("a www. beside a routed host");
    // It is asked for as soon as the owner says that this is the name.
    await stage.machine.call("net.primary.set", { app: "blog", host: sub });
    await until("its certificate", () => stage.cert(`www.${sub}`).catch(() => null));
    await stage.issued(`www.${sub}`);
  }, 60_000);
});

test("a www. that DNS has only now: renew looks at once, and says what is wrong until then", async () => {
  await using stage = await Stage.open();
  const www = `www.${zone}`;
  const renew = () => stage.machine.fazt("net", "cert", "renew", www);
  await stage.use();
  stage.names.addresses.set(www, "127.0.0.9");
  await stage.route(zone);
  await stage.issued(zone);
  const elsewhere = await renew();
  expect(elsewhere.code).not.toBe(0);
  expect(elsewhere.stderr).toContain("DNS leads it elsewhere");
  stage.names.addresses.delete(www);
  expect((await renew()).stderr).toBe("");
  expect((await stage.issued(www)).names).toEqual([www]);
}, 60_000);

describe("DNS-01", () => {
  test("one wildcard for a route below a name, proved by signed updates that go again", async () => {
    await using stage = await Stage.open();
    const { address, keyName, secret } = stage.names;
    const provider = { provider: "rfc2136", providerServer: address, providerKeyName: keyName };
    await stage.use({ ...provider, providerSecret: secret });
    await stage.route(`*.${zone}`);
    await stage.route(zone);
    await stage.route(`in.${zone}`);
    await stage.route(`deep.in.${zone}`);
    const cert = await until("the wildcard", async () => {
      const all = await stage.machine.call<CertInfo[]>("net.cert.ls");
      return all.find(({ name, names, state }) => {
        return name === `*.${zone}` && names.includes(zone) && state === "good";
      });
    });
    expect(cert.names).toEqual([`*.${zone}`, zone]);
    await stage.issued(`deep.in.${zone}`);
    const all = await stage.machine.call<CertInfo[]>("net.cert.ls");
    expect(all.map(({ name }) => name).sort()).toEqual([
      `*.${zone}`,
      `deep.in.${zone}`,
      "self-signed",
    ]);
    await until("the listener shows it", async () => {
      const { print } = await shown(stage.httpsPort, `in.${zone}`);
      return print === cert.fingerprint;
    });
    await until("the records are gone", () =>
      [...stage.names.texts.values()].every((values) => values.size === 0),
    );
    expect(stage.names.updates.refused).toBe(0);
    const shownSettings = JSON.stringify(await stage.machine.call("net.acme.show"));
    expect(shownSettings).not.toContain(secret);
  }, 60_000);

  test("a key the server does not know is a reason that can be read", async () => {
    await using stage = await Stage.open();
    const { address, keyName } = stage.names;
    const provider = { provider: "rfc2136", providerServer: address, providerKeyName: keyName };
    await stage.use({ ...provider, providerSecret: btoa("not the key") });
    await stage.route(`*.${zone}`);
    const failing = await until("a reason", async () => {
      const cert = await stage.cert(`*.${zone}`);
      return cert.problem === null ? null : cert;
    });
    expect(failing.problem?.text).toContain("the key is not the one it knows");
  }, 60_000);
});

describe("accounts", () => {
  test("external account binding, and what an authority without it says", async () => {
    const key = Buffer.from("0123456789abcdef0123456789abcdef").toString("base64url");
    await using stage = await Stage.open({ binding: { id: "kid-1", key } });
    await stage.use();
    const host = `c.${zone}`;
    await stage.route(host);
    const failing = await until("a reason", async () => {
      const cert = await stage.cert(host);
      return cert.problem === null ? null : cert;
    });
    expect(failing.problem?.text).toContain("externalAccountRequired");
    await stage.machine.call("net.acme.set", { bindingId: "kid-1", bindingKey: key });
    await stage.machine.call("net.cert.renew", { name: host });
    await stage.issued(host);
  }, 60_000);
});
