/**
 * Limits of the dispatcher and its bridges; each with its unit and its reason. What a domain
 * limits stands in that domain.
 */

/** Calls one app may have under way at once; beyond it EAGAIN. Keeps one app from filling queues. */
export const appCallsInFlightMax = 1024;

/** JSON input of one call over HTTP, in bytes (contract: request body 10 MB). */
export const inputBytesMax = 10 * 1024 * 1024;

/** Input of an upload call, in the query, in characters: the request line must stay under 16 KB. */
export const queryInputCharsMax = 8 * 1024;

/** Body of an upload call over HTTP, in bytes (contract: uploads stream to 100 MB). */
export const uploadBytesMax = 100 * 1024 * 1024;

/** Body of any call at most, in bytes: a whole cartridge. Each call's own limit is in its declaration. */
export const bodyBytesMax = 2048 * 1024 * 1024;

/** What the control socket takes beyond it, in bytes, so that the refusal of the call is heard. */
export const refusalBytes = 16 * 1024 * 1024;

/** How much of a call's input the audit log keeps, in characters. */
export const auditSubjectCharsMax = 1024;

/** Longest list of an input that the audit log spells out; a release's files are only counted. */
export const auditListItemsMax = 3;

/** Lines of a stream that one use of an MCP tool gives, and how long it waits for them, in ms. */
export const toolLinesMax = 500;
export const toolLinesMs = 5_000;

/** Bytes of a file that one use of an MCP tool gives: a model reads them all. */
export const toolTextBytesMax = 256 * 1024;
