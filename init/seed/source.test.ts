/**
 * The one conformance suite of all sources, and what each of them says of the network.
 */
import { describe, expect, test } from "bun:test";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SysError } from "../../kernel/errno.ts";
import {
  type Cloud,
  clouds,
  configDriveFiles,
  emptySite,
  type Folder,
  folderOf,
  nocloudFiles,
  type Simulated,
  simulate,
  siteWithVolume,
} from "./fixture.ts";
import { networkOf } from "./network.ts";
import { sources } from "./site.ts";
import type { Site, Source } from "./source.ts";

const document = '#fazt\nhostname: "ätlas"\n';

interface Place extends Disposable {
  readonly site: Site;
}

/** A machine on which the source holds this user-data. */
type Make = (userData: string | null) => Place;

const inFolder = (folder: Folder, site: Site): Place => ({
  site,
  [Symbol.dispose]: () => folder[Symbol.dispose](),
});

const local: Readonly<Record<string, Make>> = {
  "system credentials": (userData) => {
    const folder = folderOf({
      "fazt.user-data": userData,
      "fazt.network-config": "version: 2\nethernets: {eth0: {dhcp4: true}}\n",
    });
    return inFolder(folder, emptySite({ credentialsDir: folder.path }));
  },
  "NoCloud volume CIDATA": (userData) => {
    const folder = folderOf(nocloudFiles(userData));
    return inFolder(folder, siteWithVolume("CIDATA", folder.path));
  },
  "config drive": (userData) => {
    const folder = folderOf(configDriveFiles(userData));
    return inFolder(folder, siteWithVolume("config-2", folder.path));
  },
};

const makes: Readonly<Record<string, Make>> = {
  ...local,
  ...Object.fromEntries(
    Object.entries(clouds).map(([name, cloud]) => [
      name,
      (userData: string | null) => simulate(cloud, { userData }),
    ]),
  ),
};

const identities: Readonly<Record<string, [string | null, string | null]>> = {
  "system credentials": [null, null],
  "NoCloud volume CIDATA": ["iid-local01", "cloudy"],
  "config drive": ["83679162-1378-4288-a2d4-70e13ec132aa", "stack.novalocal"],
  DigitalOcean: ["2756294", "sample-droplet"],
  Hetzner: ["42", "my-server"],
  Vultr: ["7e2a3a7c", "guest"],
  Linode: ["12345", "my-linode"],
  "Amazon EC2": ["i-0abc", "ip-10-0-0-1"],
  OpenStack: ["83679162-1378-4288-a2d4-70e13ec132aa", "stack.novalocal"],
};

test("every source is in the suite", () => {
  expect(sources.map(({ name }) => name).sort()).toEqual(Object.keys(makes).sort());
});

describe.each(sources.map((source) => [source.name, source] as const))("%s", (name, source) => {
  const make = makes[name] as Make;

  test("is present where it is, and nowhere else", () => {
    using place = make(document);
    expect(sources.filter((one) => one.present(place.site))).toEqual([source]);
    expect(source.present(emptySite())).toBe(false);
  });

  test("being present asks nobody", () => {
    using place = make(document);
    source.present(place.site);
    expect((place as Partial<Simulated>).asked ?? []).toEqual([]);
  });

  test("gives user-data byte for byte, the machine's id and name", async () => {
    using place = make(document);
    const [instanceId = null, hostname = null] = identities[name] ?? [];
    expect(await source.read(place.site)).toMatchObject({
      userData: document,
      instanceId,
      hostname,
    });
  });

  test("without user-data says so and gives the rest", async () => {
    using place = make(null);
    const [instanceId = null] = identities[name] ?? [];
    expect(await source.read(place.site)).toMatchObject({ userData: null, instanceId });
  });

  test("says nothing of a network that cannot be read as one", async () => {
    using place = make(document);
    const found = await source.read(place.site);
    expect(networkOf(found?.network ?? { links: [] }, ["eth0"]).problems).toEqual([]);
  });
});

const named = (name: string): Source => {
  const source = sources.find((one) => one.name === name);
  if (source === undefined) throw new Error(`no source "${name}"`);
  return source;
};

async function refusal(work: Promise<unknown>): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (error instanceof SysError) return error.code;
    throw error;
  }
}

describe.each(Object.entries(clouds))("the service of %s", (name, cloud) => {
  test("that starts slowly is asked again", async () => {
    using place = simulate(cloud, { userData: document, busy: 2 });
    expect(await named(name).read(place.site)).toMatchObject({ userData: document });
  });

  test("that nobody answers is given up in bounded time", async () => {
    using place = simulate(cloud, { userData: null });
    const site = { ...place.site, metadataUrl: "http://127.0.0.1:9", patienceMs: 500 };
    expect(await refusal(named(name).read(site))).toBe("ETIMEDOUT");
  });

  test("that answers without end is cut", async () => {
    const large = "x".repeat(1024 * 1024 + 1);
    const all = new Proxy({}, { get: () => large });
    const flood: Cloud = { ...cloud, routes: () => all };
    using place = simulate(flood, { userData: null });
    expect(await refusal(named(name).read(place.site))).toBe("EFBIG");
  });
});

/** What the network of a source comes to on a machine with one card. */
async function network(name: string) {
  using place = (makes[name] as Make)(null);
  const found = await named(name).read(place.site);
  const told = networkOf(found?.network ?? { links: [] }, ["ens3"]).network;
  return (told?.links ?? []).map(({ mac, name: card, ipv4, ipv6, addresses, gateways }) =>
    [`${mac ?? card} ${ipv4}/${ipv6}`, ...addresses, ...gateways.map((one) => `via ${one}`)].join(
      " ",
    ),
  );
}

test.each([
  ["system credentials", []],
  ["NoCloud volume CIDATA", []],
  [
    "DigitalOcean",
    [
      "96:00:00:08:19:da static/static 203.0.113.20/18 10.17.0.9/16 2001:DB8:0:1::1/64 via 203.0.113.1 via 2001:DB8:0:1::FFFF",
      "04:01:57:d1:9e:02 static/auto 10.132.6.205/16",
    ],
  ],
  ["Hetzner", ["96:00:00:08:19:da dhcp/static 2001:db8:beef::1/64 via fe80::1"]],
  [
    "Vultr",
    ["96:00:00:08:19:da dhcp/auto 203.0.113.77/23", "5a:00:03:1b:4e:ca static/auto 10.1.112.3/20"],
  ],
  ["Linode", []],
  ["Amazon EC2", []],
  ["OpenStack", ["96:00:00:08:19:da dhcp/static 2001:db8:cafe::5/64 via 2001:db8:cafe::1"]],
] as const)("the network of %s", async (name, lines) => {
  expect(await network(name)).toEqual([...lines]);
});

test("a NoCloud network of version 2, by the name of a card that is called otherwise here", async () => {
  const config = `network:
  version: 2
  ethernets:
    eth0:
      addresses: [192.0.2.7/24, "2001:db8::7/64"]
      routes: [{to: default, via: 192.0.2.1}, {to: "::/0", via: "fe80::1"}]
      nameservers: {addresses: [192.0.2.53], search: [example.org]}
      mtu: 1400
`;
  using folder = folderOf(nocloudFiles(null, config));
  const found = await named("NoCloud volume CIDATA").read(siteWithVolume("CIDATA", folder.path));
  expect(networkOf(found?.network ?? { links: [] }, ["ens3"]).network).toMatchObject({
    search: ["example.org"],
    links: [
      {
        name: "ens3",
        ipv4: "static",
        ipv6: "static",
        addresses: ["192.0.2.7/24", "2001:db8::7/64"],
        gateways: ["192.0.2.1", "fe80::1"],
        dns: ["192.0.2.53"],
        mtu: 1400,
      },
    ],
  });
});

test("a network that makes no sense is passed over with a word, and the rest is taken", () => {
  const card = { mac: "96:00:00:00:00:01", gateways: [], dns: [] };
  const { network: taken, problems } = networkOf(
    {
      links: [
        { ...card, addresses: ["not an address/24"] },
        { ...card, mac: "96:00:00:00:00:02", addresses: ["192.0.2.7/24"] },
      ],
    },
    ["eth0"],
  );
  expect(taken?.links.map(({ mac }) => mac)).toEqual(["96:00:00:00:00:02"]);
  expect(problems).toHaveLength(1);
});

describe("a volume", () => {
  test("whose files lead out of it, or are too large, is refused", async () => {
    using folder = folderOf({});
    symlinkSync("/etc/passwd", join(folder.path, "user-data"));
    const nocloud = named("NoCloud volume CIDATA");
    const site = siteWithVolume("CIDATA", folder.path);
    expect(await refusal(nocloud.read(site))).toBe("EIO");
    using big = folderOf({});
    writeFileSync(join(big.path, "user-data"), "x".repeat(1024 * 1024 + 1));
    expect(await refusal(nocloud.read(siteWithVolume("CIDATA", big.path)))).toBe("EFBIG");
  });

  test("whose description is no YAML is refused without quoting it", async () => {
    using folder = folderOf({ "meta-data": "a: [hunter2\n" });
    const read = named("NoCloud volume CIDATA").read(siteWithVolume("CIDATA", folder.path));
    expect(read).rejects.toThrow('cannot read "meta-data": it is not YAML');
  });
});
