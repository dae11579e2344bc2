/**
 * net/cert: the certificates of this machine's hosts.
 *
 *     const certs = createCerts({ machine, storage, security });
 *     await certs.open();
 *     Bun.serve({ tls: certs.tls(), … });
 *
 * Invariants
 * 1. There is always something to show: a self-signed certificate until an authority's is there.
 * 2. A private key leaves this part only towards the listener; at rest it is sealed.
 * It never listens: net swaps the listener when it is told that certificates have changed.
 */

export type { Certs, Change } from "./cert.ts";
export { createCerts } from "./cert.ts";
export type { CertInfo } from "./info.ts";
export type { Hosts } from "./plan.ts";
export { makeSelf } from "./self.ts";
export { providerKinds } from "./settings.ts";
export { createCertStore } from "./store.ts";
export { covers, type TlsEntry } from "./wardrobe.ts";
