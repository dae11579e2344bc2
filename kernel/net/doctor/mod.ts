/**
 * net/doctor: what keeps a host from being served, one line a check with what to do.
 *
 *     await examine(machine, { host: "blog.example.org", … });
 *
 * It changes nothing, and asks nobody but name servers, the host itself and the authority's clock.
 */

export type { Finding } from "./check.ts";
export { examine } from "./doctor.ts";
