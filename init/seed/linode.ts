/**
 * Linode's (Akamai's) metadata service: every request carries a token that is got first; user-data
 * is base64. Its network is automatic (DHCP, SLAAC).
 * https://techdocs.akamai.com/cloud-computing/docs/metadata-service-api
 */
import { z } from "zod";
import { SysError } from "../../kernel/errno.ts";
import { createMetadata, fromBase64 } from "./metadata.ts";
import type { Source } from "./source.ts";

const Instance = z.object({ id: z.coerce.string(), label: z.string().optional() });

export const linode: Source = {
  name: "Linode",
  present: ({ dmi }) => ["Linode", "Akamai"].includes(dmi.sysVendor),
  read: async (site) => {
    const service = createMetadata(site);
    const token = await service.get("/v1/token", {
      method: "PUT",
      headers: { "metadata-token-expiry-seconds": "300" },
    });
    if (token === null) throw new SysError("EIO", "cannot get a token of the metadata service");
    const headers = { "metadata-token": token.trim(), accept: "application/json" };
    const instance = Instance.safeParse(await service.json("/v1/instance", { headers }));
    if (!instance.success) return null;
    const userData = await service.get("/v1/user-data", { headers: { ...headers, accept: "*/*" } });
    const { id: instanceId, label: hostname = null } = instance.data;
    return {
      instanceId,
      hostname,
      userData: userData === null || userData === "" ? null : fromBase64(userData),
      network: null,
    };
  },
};
