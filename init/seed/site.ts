/**
 * The real surroundings of first boot, and the sources in the order they are looked at: what is at
 * the machine itself goes before what a network says.
 */
import { realMachine } from "../../kernel/machine.ts";
import { credential } from "./credential.ts";
import { digitalocean } from "./digitalocean.ts";
import { readDmi } from "./dmi.ts";
import { ec2 } from "./ec2.ts";
import { hetzner } from "./hetzner.ts";
import { linode } from "./linode.ts";
import { nocloud } from "./nocloud.ts";
import { configDrive, openstack } from "./openstack.ts";
import type { Site, Source } from "./source.ts";
import { findVolume, mountVolume, settleDevices } from "./volume.ts";
import { vultr } from "./vultr.ts";

/** In order; the first that is present and holds something is the one. */
export const sources: readonly Source[] = [
  credential,
  nocloud,
  configDrive,
  digitalocean,
  hetzner,
  vultr,
  linode,
  ec2,
  openstack,
];

/** This machine's; what is given goes before it. */
export function realSite(given: Partial<Site> = {}): Site {
  return {
    machine: realMachine(),
    dmi: readDmi(),
    credentialsDir: "/run/credentials/@system",
    settle: () => settleDevices(),
    hasVolume: (labels) => findVolume(labels) !== null,
    volume: async (labels) => {
      const device = findVolume(labels);
      return device === null ? null : await mountVolume(device);
    },
    metadataUrl: "http://169.254.169.254",
    // A cloud's DHCP and metadata are there within seconds; after this the wizard is all there is.
    patienceMs: 120_000,
    retryMs: 1000,
    ...given,
  };
}
