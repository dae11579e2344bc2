/**
 * iface: the machine's own network: its addresses and names and, on the appliance, how it gets
 * them and what its firewall lets in.
 *
 *     const { hostname, addresses: list } = addresses();
 */
export {
  addresses,
  type MachineAddress,
  type MachineNames,
  type Scope,
} from "./address.ts";
