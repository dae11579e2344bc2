/**
 * Limits of the guard; each with its unit and its reason. How long a client may take is the owner's
 * to say (`net.headS`, `net.slowReadS`).
 */

/** Milliseconds between two looks at every connection: a look costs 1 to 3 µs a connection. */
export const lookMs = 1000;

/**
 * Descriptors looked at in one turn of the event loop: requests wait for a look at so many, and for
 * as many ends.
 */
export const chunkFds = 128;

/**
 * Connections ended in one turn of the event loop, and milliseconds until the next: who are ended
 * together come back together, and the runtime accepts all that wait before it does anything else
 * (2,000 of them take 30 to 50 ms).
 */
export const endsPerTurn = 32;
export const endsPauseMs = 5;

/** Bytes a client must take, or send of a body, within `slowReadS`: else it stands still. */
export const progressBytesMin = 4096;

/**
 * Seconds that bytes without an answer may stand on a TLS connection which has been answered before:
 * HTTP/2 acknowledges settings and opens windows without expecting any.
 */
export const quietS = 75;

/** Times `headS` for a TLS connection that has not been answered: the handshake is in it. */
export const handshakeFactor = 2;

/** Instructions of a classic BPF program (BPF_MAXINSNS of bpf_common.h). */
export const filterStepsMax = 4096;

/**
 * Bytes the system holds of an answer beyond what is on its way (TCP_NOTSENT_LOWAT, tcp(7)): 2,000
 * clients that do not read would have up to 4 MB each held for them, and everybody's TCP suffers.
 */
export const unsentBytesMax = 128 * 1024;

/** Connections that have taken nothing for `stuckMs` above which nobody gets more than `crowdedReadS`. */
export const stuckMax = 100;
export const stuckMs = 5000;
export const crowdedReadS = 10;

/** Answers beyond one chunk (1 MB) that may wait for their readers at once: each holds a chunk. */
export const waitingMax = 256;
