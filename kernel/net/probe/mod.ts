/**
 * probe: looks at the network from this machine, for who has no other shell on it: an echo, a name,
 * a request. Its calls are `net.ping`, `net.dns` and `net.http`, with the short words ping, dns, http.
 *
 *     for await (const echo of ping(machine, { host: "example.com", count: 3 }, signal)) …
 *
 * Invariants
 * 1. What a server answers is never given away: status and measures only, so that a probe reads
 *    nobody's data from inside the network.
 * 2. Everything ends within its limits, and when the caller goes away.
 */

export { type DnsRecord, recordTypes, resolve } from "./name.ts";
export { type Echo, ping } from "./ping.ts";
export { type Fetched, request } from "./request.ts";
