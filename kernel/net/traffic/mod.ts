/**
 * net/traffic: what each route has answered, and what the access log says of clients.
 *
 *     traffic.of("blog.example.org").note(200, 1.2, 4096);
 *
 * It never keeps an address that the owner did not ask for, and never a query or a header.
 */

export { topClientsMax } from "./limits.ts";
export { createPrivacy, type Privacy } from "./privacy.ts";
export { trafficSql } from "./schema.ts";
export { createTraffic, type RouteTraffic, type RouteUsage, type Traffic } from "./traffic.ts";
