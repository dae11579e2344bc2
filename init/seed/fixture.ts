/**
 * Simulators of the clouds' metadata services, as their documentation has them: real HTTP servers on
 * loopback, with their tokens and their ways of saying no; and volumes that are directories.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { realMachine } from "../../kernel/machine.ts";
import type { Dmi } from "./dmi.ts";
import type { Site } from "./source.ts";
import { readBelow } from "./volume.ts";

export const noDmi: Dmi = { sysVendor: "", productName: "", biosVendor: "", chassisTag: "" };

/** One answer: text, or what makes it of the request. */
type Answer = string | ((request: Request) => string | Response | null);

export interface Cloud {
  readonly dmi: Partial<Dmi>;
  /** Answers by path; everything else is 404. */
  routes(userData: string | null): Readonly<Record<string, Answer>>;
}

const refused = () => new Response("unauthorized", { status: 401 });

/** An answer for whoever has the token. */
const behind =
  (header: string, token: string, text: string | null): Answer =>
  (request) =>
    request.headers.get(header) === token ? text : refused();

const mac = "96:00:00:08:19:da";

export const clouds: Readonly<Record<string, Cloud>> = {
  DigitalOcean: {
    dmi: { sysVendor: "DigitalOcean" },
    routes: (userData) => ({
      "/metadata/v1.json": JSON.stringify({
        droplet_id: 2756294,
        hostname: "sample-droplet",
        ...(userData !== null && { user_data: userData }),
        region: "nyc3",
        interfaces: {
          public: [
            {
              ipv4: {
                ip_address: "203.0.113.20",
                netmask: "255.255.192.0",
                gateway: "203.0.113.1",
              },
              ipv6: { ip_address: "2001:DB8:0:1::1", cidr: 64, gateway: "2001:DB8:0:1::FFFF" },
              anchor_ipv4: {
                ip_address: "10.17.0.9",
                netmask: "255.255.0.0",
                gateway: "10.17.0.1",
              },
              mac,
              type: "public",
            },
          ],
          private: [
            {
              ipv4: { ip_address: "10.132.6.205", netmask: "255.255.0.0", gateway: "10.132.0.1" },
              mac: "04:01:57:d1:9e:02",
              type: "private",
            },
          ],
        },
        dns: { nameservers: ["192.0.2.53", "2001:db8::53"] },
      }),
    }),
  },
  Hetzner: {
    dmi: { sysVendor: "Hetzner" },
    routes: (userData) => ({
      "/hetzner/v1/metadata": `hostname: my-server
instance-id: 42
local-ipv4: ''
network-config:
  version: 1
  config:
  - mac_address: ${mac}
    name: eth0
    subnets:
    - dns_nameservers: [192.0.2.53]
      ipv4: true
      type: dhcp
    type: physical
  - name: eth0:0
    subnets:
    - address: 2001:db8:beef::1/64
      gateway: fe80::1
      ipv6: true
      type: static
    type: physical
public-ipv4: 203.0.113.20
`,
      ...(userData !== null && { "/hetzner/v1/userdata": userData }),
    }),
  },
  Vultr: {
    dmi: { sysVendor: "Vultr" },
    routes: (userData) => ({
      "/v1.json": behind(
        "metadata-token",
        "vultr",
        JSON.stringify({
          instanceid: "42506325",
          "instance-v2-id": "7e2a3a7c",
          hostname: "guest",
          interfaces: [
            {
              mac,
              "network-type": "public",
              ipv4: {
                address: "203.0.113.20",
                netmask: "255.255.254.0",
                gateway: "203.0.113.1",
                additional: [{ address: "203.0.113.77", netmask: "255.255.254.0" }],
              },
              ipv6: { address: "2001:db8::5", network: "2001:db8::", prefix: "64", additional: [] },
            },
            {
              mac: "5a:00:03:1b:4e:ca",
              "network-type": "private",
              ipv4: {
                address: "10.1.112.3",
                netmask: "255.255.240.0",
                gateway: "",
                additional: [],
              },
              ipv6: {},
            },
          ],
        }),
      ),
      "/latest/user-data": behind("metadata-token", "vultr", userData ?? ""),
    }),
  },
  Linode: {
    dmi: { sysVendor: "Linode" },
    routes: (userData) => ({
      "/v1/token": (request) =>
        request.method === "PUT" && request.headers.has("metadata-token-expiry-seconds")
          ? "tkn-linode\n"
          : refused(),
      "/v1/instance": behind(
        "metadata-token",
        "tkn-linode",
        JSON.stringify({ id: 12345, label: "my-linode", region: "us-iad" }),
      ),
      "/v1/user-data": behind(
        "metadata-token",
        "tkn-linode",
        userData === null ? null : Buffer.from(userData).toString("base64"),
      ),
    }),
  },
  "Amazon EC2": {
    dmi: { sysVendor: "Amazon EC2" },
    routes: (userData) => ({
      "/latest/api/token": (request) =>
        request.method === "PUT" && request.headers.has("x-aws-ec2-metadata-token-ttl-seconds")
          ? "tkn-ec2"
          : refused(),
      "/latest/meta-data/instance-id": behind("x-aws-ec2-metadata-token", "tkn-ec2", "i-0abc"),
      "/latest/meta-data/local-hostname": behind(
        "x-aws-ec2-metadata-token",
        "tkn-ec2",
        "ip-10-0-0-1.ec2.internal",
      ),
      "/latest/user-data": behind("x-aws-ec2-metadata-token", "tkn-ec2", userData),
    }),
  },
  OpenStack: {
    dmi: { sysVendor: "OpenStack Foundation", productName: "OpenStack Nova" },
    routes: (userData) => openstackDocuments(userData),
  },
};

function openstackDocuments(userData: string | null): Record<string, string> {
  return {
    "/openstack/latest/meta_data.json": JSON.stringify({
      uuid: "83679162-1378-4288-a2d4-70e13ec132aa",
      hostname: "stack.novalocal",
    }),
    "/openstack/latest/network_data.json": JSON.stringify({
      links: [{ id: "tap1", ethernet_mac_address: mac, mtu: 1450, type: "ovs" }],
      networks: [
        { id: "network0", link: "tap1", type: "ipv4_dhcp" },
        {
          id: "network1",
          link: "tap1",
          type: "ipv6",
          ip_address: "2001:db8:cafe::5",
          netmask: "ffff:ffff:ffff:ffff::",
          routes: [{ network: "::", netmask: "::", gateway: "2001:db8:cafe::1" }],
        },
      ],
      services: [{ type: "dns", address: "192.0.2.53" }],
    }),
    ...(userData !== null && { "/openstack/latest/user_data": userData }),
  };
}

export interface Simulated extends Disposable {
  readonly site: Site;
  /** Paths that were asked for. */
  readonly asked: string[];
}

export interface SimulateOptions {
  readonly userData: string | null;
  /** Answers 503 that often first, as a service that starts. */
  readonly busy?: number;
  readonly patienceMs?: number;
}

/** A machine on that cloud. */
export function simulate(cloud: Cloud, options: SimulateOptions): Simulated {
  const routes = cloud.routes(options.userData);
  const asked: string[] = [];
  let busy = options.busy ?? 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      asked.push(pathname);
      if (busy-- > 0) return new Response("starting", { status: 503 });
      const answer = routes[pathname];
      const made = typeof answer === "function" ? answer(request) : answer;
      if (made instanceof Response) return made;
      return made == null ? new Response("not found", { status: 404 }) : new Response(made);
    },
  });
  const site = emptySite({
    dmi: { ...noDmi, ...cloud.dmi },
    metadataUrl: server.url.origin,
    patienceMs: options.patienceMs ?? 10_000,
  });
  return { site, asked, [Symbol.dispose]: () => void server.stop(true) };
}

/** A machine nobody has left anything for. */
export function emptySite(given: Partial<Site> = {}): Site {
  return {
    machine: realMachine(),
    dmi: noDmi,
    credentialsDir: "/nonexistent",
    settle: async () => undefined,
    hasVolume: () => false,
    volume: async () => null,
    metadataUrl: "http://127.0.0.1:9",
    patienceMs: 1000,
    retryMs: 10,
    ...given,
  };
}

export interface Folder extends Disposable {
  readonly path: string;
}

/** A directory with these files. */
export function folderOf(files: Readonly<Record<string, string | null>>): Folder {
  const path = mkdtempSync(join(tmpdir(), "fazt-seed-"));
  for (const [name, text] of Object.entries(files)) {
    if (text === null) continue;
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A site with a volume of that label, which is the directory. */
export function siteWithVolume(label: string, path: string): Site {
  return emptySite({
    hasVolume: (labels) => labels.includes(label) && existsSync(path),
    volume: async (labels) =>
      labels.includes(label)
        ? { read: (name) => readBelow(path, name), close: async () => undefined }
        : null,
  });
}

/** The files of a NoCloud volume. */
export const nocloudFiles = (userData: string | null, networkConfig: string | null = null) => ({
  "meta-data": "instance-id: iid-local01\nlocal-hostname: cloudy\n",
  "user-data": userData,
  "network-config": networkConfig,
});

/** The files of a config drive. */
export const configDriveFiles = (userData: string | null): Record<string, string> =>
  Object.fromEntries(
    Object.entries(openstackDocuments(userData)).map(([path, text]) => [path.slice(1), text]),
  );
