/** Documents that are taken, and what is said of the others: the line, never a value. */
import { expect, test } from "bun:test";
import { hashPassword } from "../../kernel/security/mod.ts";
import { readDocument } from "./document.ts";

const hash = await hashPassword("gravel otter lamp seven");

/** `line: problem`, or the kind. */
function said(text: string): string {
  const reading = readDocument(text);
  if (reading.kind === "bad") return `${reading.line}: ${reading.problem}`;
  return reading.kind === "other" ? `other: ${reading.reason}` : "taken";
}

const claim = `claim:
  passwordHash: ${hash}
  domain: example.com
  email: me@example.com`;

test("a whole document, in YAML and in JSON", () => {
  const yaml = `#fazt
hostname: atlas
${claim}
network:
  links:
    - name: eth0
      ipv4: static
      addresses: [203.0.113.7/24]
      gateways: [203.0.113.1]
apps:
  - url: https://example.com/blog.cart
`;
  const reading = readDocument(yaml);
  expect(reading).toMatchObject({
    kind: "document",
    document: {
      hostname: "atlas",
      claim: { domain: "example.com" },
      network: { mdns: true, links: [{ name: "eth0", ipv6: "auto" }] },
    },
  });
  const json = reading.kind === "document" ? JSON.stringify(reading.document, null, 2) : "";
  expect(readDocument(`#fazt\n${json}`)).toEqual(reading);
  expect(said("#fazt\r\nhostname: atlas\r\n")).toBe("taken");
  expect(said("#fazt\n")).toBe("taken");
});

test.each([
  ["", "other: it is empty"],
  ["\n\n", "other: it is empty"],
  ["#cloud-config\npackages: [nginx]", 'other: it is for cloud-init ("#cloud-config")'],
  ["#!/bin/sh\nrm -rf /", "other: it is a script, and fazt runs none"],
  ["hostname: atlas", 'other: its first line is not "#fazt"'],
  ["#fazt\nhostnam: atlas", '2: "hostnam" is not a key of a document'],
  ["#fazt\n\nhostname: 7", '3: "hostname" invalid input: expected string, received number'],
  [
    `#fazt\n${claim.replace(hash, "hunter2hunter2")}`,
    '3: "claim.passwordHash" must be an argon2id hash, as fazt security hash makes it',
  ],
  [`#fazt\n${claim}\n  extra: 1`, '6: "claim.extra" is not a key of a document'],
  ["#fazt\nreplica:\n  url: file:///mnt/x", '2: "replica" must come with claim'],
  [`#fazt\n${claim}\nsetupCodeHash: ${hash}`, '6: "setupCodeHash" must not be there beside claim'],
  [
    `#fazt\n${claim}\napps:\n  - url: https://a.example/x\n  - name: two\n    url: ftp://a.example/x`,
    '9: "apps.1.url" must be an http or https address',
  ],
  [
    `#fazt\n${claim}\napps: [{url: "http://a.example/x"}]`,
    '6: "apps.0.url" must be https, or come with sha256',
  ],
  [
    "#fazt\nnetwork:\n  links:\n    - name: eth0\n    - name: eth1\n      mtu: 100",
    '6: "network.links.1.mtu" must be 1280 to 9216',
  ],
  [
    '#fazt\n{\n "hostname": "a",\n "network": {\n  "links": [\n   {"name": "a"},\n   {"name": "b", "ipv4": "x"}\n  ]\n }\n}',
    '7: "network.links.1.ipv4" invalid option: expected one of "dhcp"|"static"|"off"',
  ],
  ["#fazt\nhostname: atlas\n\tclaim: 1", "3: begins with a tab: YAML indents with spaces"],
  ["#fazt\nhostname: atlas\nclaim: [1, 2\nx: 1\n", "3: is not YAML from here on"],
  ["#fazt\njust words", "1: invalid input: expected object, received string"],
])("%j: %s", (text, problem) => {
  expect(said(text)).toBe(problem);
});

test("what is wrong with a secret does not tell it", () => {
  const secrets = `#fazt
claim:
  passwordHash: hunter2hunter2
  domain: [hunter2hunter2]
restore: {url: hunter2hunter2, machineKey: hunter2hunter2}
`;
  expect(said(secrets)).not.toContain("hunter2");
  expect(said(`#fazt\nclaim: "hunter2hunter2`)).not.toContain("hunter2");
});
