/**
 * Amazon EC2's instance metadata service, version 2: a token first, by PUT, so that nobody is led
 * to ask it by accident. Its network is automatic (DHCP, DHCPv6 as routers say).
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
 */
import { SysError } from "../../kernel/errno.ts";
import { createMetadata } from "./metadata.ts";
import type { Source } from "./source.ts";

const base = "/latest";

export const ec2: Source = {
  name: "Amazon EC2",
  present: ({ dmi }) => dmi.sysVendor === "Amazon EC2" || dmi.biosVendor === "Amazon EC2",
  read: async (site) => {
    const service = createMetadata(site);
    const token = await service.get(`${base}/api/token`, {
      method: "PUT",
      headers: { "x-aws-ec2-metadata-token-ttl-seconds": "300" },
    });
    if (token === null) throw new SysError("EIO", "cannot get a token of the metadata service");
    const headers = { "x-aws-ec2-metadata-token": token.trim() };
    const instanceId = await service.get(`${base}/meta-data/instance-id`, { headers });
    if (instanceId === null) return null;
    const hostname = await service.get(`${base}/meta-data/local-hostname`, { headers });
    const userData = await service.get(`${base}/user-data`, { headers });
    // `ip-10-0-0-1.ec2.internal`: what follows the first label is not this machine's own name.
    return { instanceId, hostname: hostname?.split(".", 1)[0] ?? null, userData, network: null };
  },
};
