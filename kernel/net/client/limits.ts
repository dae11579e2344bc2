/**
 * Limits of clients; each with its unit and its reason. Those in `limits` are the owner's to change
 * (`net.limit.set`); the rest are fixed.
 */

export const limits = {
  /**
   * Requests a second from one client, over all apps, beyond files that are held in memory. A page
   * with everything on it is some hundred requests at once; a whole office may be one address.
   */
  clientRatePerS: 200,
  /** Connections of one client at once: some forty browsers behind one address. */
  clientConnectionsMax: 256,
  /** Requests one client may have under way while more than half of all places are taken. */
  clientInFlightMax: 200,
  /** Connections at once; the longest idle ones make room for what comes beyond it. */
  connectionsMax: 8192,
  /**
   * WebSockets open at once, over all apps: an idle one costs the kernel 8 KB and its app 3 KB
   * (measured), so that all of them are 55 MB.
   */
  webSocketsMax: 5000,
  /** Seconds a client may take to send the head of a request. */
  headS: 10,
  /** Seconds in which a client must take some of what it was sent: paused videos come back. */
  slowReadS: 60,
};

export type ClientLimits = typeof limits;

/** Seconds of its rate that a client may use at once. */
export const clientBurstS = 5;

/** Rules about clients: as many as one filter on the listening socket holds, with room. */
export const rulesMax = 500;

/** Characters of a rule's note. */
export const noteCharsMax = 200;

/** Longest time a rule may be given: a year, in ms. */
export const ruleMsMax = 366 * 86_400_000;

/** Clients whose rates are remembered; the one seen longest ago is forgotten. */
export const bucketsMax = 50_000;

/** Clients whose rule is remembered. */
export const knownMax = 10_000;

/** Addresses read from X-Forwarded-For, from the right: a longer chain is somebody's invention. */
export const hopsMax = 20;

/** Seconds of an app's `rate` that a client may use at once: pages ask for several things. */
export const rateBurstS = 2;
