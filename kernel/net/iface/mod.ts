/**
 * iface: the machine's own network: its names and addresses and, on the appliance, how it gets
 * them, what its firewall lets in and where it takes the time from.
 *
 *     const { hostname, addresses: list } = addresses();
 *
 * Where to read: `config.ts` is the schema, `render.ts` and `firewall.ts` make its texts (pure),
 * `trial.ts` decides what a change goes through (pure), `host.ts` makes the system follow.
 *
 * Invariants
 * 1. The database has the configuration; what is under /run follows from it and may be lost.
 * 2. A change that nobody confirms within 30 s is taken back, also when the kernel dies meanwhile.
 * 3. Boot never waits for a network.
 * It never touches files that are not its own, and nothing at all where it is not the appliance.
 */
export {
  addresses,
  type MachineAddress,
  type MachineNames,
  type Scope,
} from "./address.ts";
export { Hostname, Network } from "./config.ts";
export { type FirewallRule, firstFirewall } from "./firewall.ts";
export { type ApplianceNetworkOptions, applianceNetwork, type NetworkHost } from "./host.ts";
export {
  createInterfaces,
  type Interfaces,
  type InterfacesOptions,
  type Trial,
} from "./interfaces.ts";
export { linkNames } from "./link.ts";
