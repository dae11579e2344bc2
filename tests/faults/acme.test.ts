/**
 * Orders whose kernel is killed: at every request to the authority, before it arrives and after its
 * reply is lost. One order, one account and one key come out of it.
 */
import { expect, test } from "bun:test";
import { type Moment, startAcmeProxy } from "../acme-proxy.ts";
import { Stage, shown, zone } from "../acme-stage.ts";
import { until } from "../process.ts";

const host = `killed.${zone}`;

test("a kernel killed at every state of an order makes no second one and loses no key", async () => {
  await using stage = await Stage.open({ nonceReject: 0 });
  const { machine, pebble } = stage;
  const killed: string[] = [];
  let dead = Promise.withResolvers<void>();
  const lose = async (kind: string, moment: Moment): Promise<boolean> => {
    const name = `${kind}, ${moment}`;
    if (killed.includes(name)) return false;
    killed.push(name);
    // Whoever is dead while the authority looks has failed, and rightly orders anew.
    const looked = () => pebble.log().includes("set VALID by completed challenge");
    if (name === "challenge, after") await until("the authority has looked", looked);
    void machine.stop("SIGKILL").then(() => dead.resolve());
    return true;
  };
  await using proxy = startAcmeProxy(pebble, lose);
  const resolver = stage.names.address;
  await stage.route(host);
  await machine.call("net.acme.set", {
    directory: proxy.directory,
    roots: proxy.roots,
    resolver,
  });

  const issued = () =>
    stage.cert(host).then(
      ({ state, fingerprint }) => state === "good" && fingerprint !== null,
      // It was killed meanwhile.
      () => false,
    );
  for (let ended = false; !ended; ) {
    const done = new AbortController();
    const good = until(
      "a certificate",
      async () => done.signal.aborted || (await issued()),
      60_000,
    );
    ended = await Promise.race([good, dead.promise.then(() => false)]);
    done.abort();
    if (ended) break;
    dead = Promise.withResolvers<void>();
    await machine.start();
  }

  const kinds = ["account", "account seen", "orders", "order", "order seen", "authorization"];
  const all = [...kinds, "challenge", "finalize", "certificate"];
  const moments = all.flatMap((kind) => [`${kind}, before`, `${kind}, after`]);
  expect(killed.toSorted()).toEqual(moments.toSorted());
  expect(pebble.log().match(/Added order/g)?.length).toBe(1);
  expect(pebble.log().match(/There are now \d+ accounts in memory/g)).toEqual([
    "There are now 1 accounts in memory",
  ]);
  expect(pebble.log().match(/Issued certificate serial/g)?.length).toBe(1);
  const cert = await stage.cert(host);
  const port = Number(new URL(machine.ready.https ?? "").port);
  expect((await shown(port, host)).print).toBe(cert.fingerprint ?? "none");
}, 180_000);
