/**
 * agent: the table of calls as agents meet it: tools at `/mcp`, and a page of text. A part of
 * syscall: derived from the table, authorised by the dispatcher, with no logic of its own.
 */
export { llmsText } from "./llms.ts";
export { createMcp } from "./mcp.ts";
