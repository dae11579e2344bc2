/** The one suite every DNS provider passes, against a local body of its interface. */
import { describe, expect, test } from "bun:test";
import { realMachine } from "../../kernel/machine.ts";
import { createProvider, type DnsProvider, type ProviderError } from "../../kernel/net/dns/mod.ts";
import {
  type Simulator,
  simulateCloudflare,
  simulateDesec,
  simulateHetzner,
} from "../dns-simulators.ts";
import { startNameServer } from "../name-server.ts";

const zone = "fazt-zone.net";
const machine = realMachine();

interface Body extends AsyncDisposable {
  readonly good: DnsProvider;
  /** With a secret the other side does not know. */
  readonly stranger: DnsProvider;
  values(name: string): string[];
  /** Makes the next questions fail in a way that may pass; null where that cannot be. */
  readonly busy: (() => void) | null;
}

const web =
  (kind: "cloudflare" | "hetzner" | "desec", simulate: (zone: string) => Simulator) =>
  async (): Promise<Body> => {
    const simulator = simulate(zone);
    const common = { machine, kind, server: simulator.base, keyName: null };
    return {
      good: createProvider({ ...common, secret: simulator.token }),
      stranger: createProvider({ ...common, secret: "other" }),
      values: simulator.values,
      busy: () => simulator.failWith(503),
      [Symbol.asyncDispose]: () => simulator[Symbol.asyncDispose](),
    };
  };

const updates = async (): Promise<Body> => {
  const server = await startNameServer([zone]);
  const common = { machine, kind: "rfc2136", server: server.address } as const;
  return {
    good: createProvider({ ...common, keyName: server.keyName, secret: server.secret }),
    stranger: createProvider({ ...common, keyName: server.keyName, secret: btoa("other") }),
    values: (name) => [...(server.texts.get(name) ?? [])],
    busy: null,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
};

const failure = (work: Promise<void>): Promise<ProviderError> =>
  work.then(
    () => Promise.reject(new Error("it did not fail")),
    (error: ProviderError) => error,
  );

describe.each([
  ["cloudflare", web("cloudflare", simulateCloudflare)],
  ["hetzner", web("hetzner", simulateHetzner)],
  ["desec", web("desec", simulateDesec)],
  ["rfc2136", updates],
] as const)("%s", (_name, open) => {
  const record = `_acme-challenge.${zone}`;
  const deep = `_acme-challenge.a.b.${zone}`;

  test("sets two values under one name, each once, and takes away one at a time", async () => {
    await using body = await open();
    const { good, values } = body;
    await good.set(record, "one");
    await good.set(record, "one");
    await good.set(record, "two");
    await good.set(deep, "three");
    expect(values(record).toSorted()).toEqual(["one", "two"]);
    expect(values(deep)).toEqual(["three"]);
    await good.unset(record, "one");
    await good.unset(record, "one");
    expect(values(record)).toEqual(["two"]);
    await good.unset(record, "two");
    await good.unset(deep, "three");
    expect([...values(record), ...values(deep)]).toEqual([]);
    await good.unset(record, "never there");
  });

  test("a name in no zone of theirs is refused for good, with the name", async () => {
    await using body = await open();
    const { message, transient } = await failure(body.good.set("_acme-challenge.x.org", "v"));
    expect(message).toContain("x.org");
    expect(transient).toBe(false);
  });

  test("a wrong secret is refused for good, and not told", async () => {
    await using body = await open();
    const { message, transient } = await failure(body.stranger.set(record, "v"));
    expect(message).toContain("refuse");
    expect(message).not.toContain("other");
    expect(transient).toBe(false);
    expect(body.values(record)).toEqual([]);
  });

  test("a provider that is busy or away may come back", async () => {
    const body = await open();
    body.busy?.();
    if (body.busy !== null)
      expect((await failure(body.good.set(record, "v"))).transient).toBe(true);
    await body[Symbol.asyncDispose]();
    expect((await failure(body.good.set(record, "v"))).transient).toBe(true);
  });
});
