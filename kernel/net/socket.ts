/**
 * WebSockets: the client's end of a `SocketPipe`, whose other end is an app.
 *
 * Rules
 * 1. Messages keep their kind and order; each is at most `messageBytesMax`.
 * 2. A client that does not read makes `send` answer false until `drained`; beyond the backlog it
 *    is closed, never silently skipped.
 * 3. Close codes travel both ways; a code that may not be sent (RFC 6455, 7.4) becomes one that may.
 */
import type { SocketPipe } from "../proc/mod.ts";
import type { UnderWay } from "./guard/mod.ts";
import { backlogBytesMax, messageBytesMax, webSocketIdleS } from "./limits.ts";

/** What the listener keeps with a connection. */
export interface Link {
  readonly pipe: SocketPipe;
  /** Where it came from. */
  readonly peer: UnderWay;
  /** Set once the app, or the kernel, has closed: the pipe need not be told again. */
  closing: boolean;
}

export interface Sockets {
  readonly handler: Bun.WebSocketHandler<Link>;
  count(): number;
  peers(): Iterable<UnderWay>;
  closeAll(code: number, reason: string): void;
}

export function createSockets(): Sockets {
  const open = new Set<Bun.ServerWebSocket<Link>>();
  const handler: Bun.WebSocketHandler<Link> = {
    perMessageDeflate: false,
    maxPayloadLength: messageBytesMax,
    backpressureLimit: backlogBytesMax,
    closeOnBackpressureLimit: true,
    idleTimeout: webSocketIdleS,
    sendPings: true,
    open: (ws) => {
      ws.binaryType = "uint8array";
      open.add(ws);
      ws.data.pipe.attach({
        // -1: queued, and more should wait; 0: the connection is gone, or the message was empty.
        send: (data) => ws.send(data) > 0 || data.length === 0,
        close: (code, reason) => {
          ws.data.closing = true;
          ws.close(sendableCode(code), clipReason(reason));
        },
      });
    },
    message: (ws, data) => ws.data.pipe.message(data),
    drain: (ws) => ws.data.pipe.drained(),
    close: (ws, code, reason) => {
      open.delete(ws);
      if (!ws.data.closing) ws.data.pipe.close(code, reason);
    },
  };
  return {
    handler,
    count: () => open.size,
    peers: () => open.values().map(({ data }) => data.peer),
    closeAll: (code, reason) => {
      for (const ws of [...open]) ws.close(code, reason);
    },
  };
}

/** Whether a request asks for a WebSocket (RFC 6455, 4.2.1). */
export function asksForSocket(request: Request): boolean {
  return (
    request.method === "GET" && request.headers.get("upgrade")?.trim().toLowerCase() === "websocket"
  );
}

/** The headers of an app's agreement that may go out with the listener's own handshake. */
export function handshakeHeaders(from: Headers): Headers {
  const headers = new Headers(from);
  const own = ["connection", "upgrade", "sec-websocket-accept", "sec-websocket-extensions"];
  for (const name of [...own, "transfer-encoding", "content-length", "date"]) headers.delete(name);
  return headers;
}

/** A code that may stand in a close frame: 1005 is "none was given", 1006 and 1015 are never sent. */
export function sendableCode(code: number): number {
  if (code === 1005) return 1000;
  const standard = code >= 1000 && code <= 1014 && code !== 1004 && code !== 1006;
  return standard || (code >= 3000 && code <= 4999) ? code : 1011;
}

/** A reason has at most 123 bytes of UTF-8 (RFC 6455, 5.5). */
export function clipReason(reason: string): string {
  let text = reason.slice(0, 123);
  while (Buffer.byteLength(text) > 123) text = text.slice(0, -1);
  return text.toWellFormed();
}
