/**
 * The listening socket: `Bun.serve` with every default that matters set.
 *
 * Rules: an address in use is an error, never shared (so no `reusePort`); nothing of an error ever
 * reaches a client; a body is at most an upload and the room to refuse it, whoever it is for.
 */
import { SysError } from "../errno.ts";
import type { Answer } from "./backend.ts";
import type { Server } from "./exchange.ts";
import { type Bind, parseBind } from "./host.ts";
import { idleTimeoutS, refusalBytes, uploadBytesMax } from "./limits.ts";
import type { Link } from "./socket.ts";

type Handle = (request: Request, server: Server) => Answer;

/** Listens on an address such as `127.0.0.1:8080`. EADDRINUSE, EACCES, EINVAL. */
export function bindServer(
  address: string,
  handle: Handle,
  websocket: Bun.WebSocketHandler<Link>,
): Server {
  const bind = parseBind(address);
  const serve = (hostname: string): Server =>
    Bun.serve<Link>({
      hostname,
      port: bind.port,
      development: false,
      reusePort: false,
      idleTimeout: idleTimeoutS,
      maxRequestBodySize: uploadBytesMax + refusalBytes,
      websocket,
      fetch: handle,
      error: () => new Response("Internal error\n", { status: 500 }),
    });
  try {
    return serve(bind.hostname ?? "::");
  } catch (error) {
    const { code } = error as { code?: string };
    const noIpv6 = code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL";
    if (bind.hostname !== null || !noIpv6) throw refusal(address, bind, error);
  }
  try {
    return serve("0.0.0.0");
  } catch (error) {
    throw refusal(address, bind, error);
  }
}

function refusal(address: string, bind: Bind, cause: unknown): SysError {
  const { code } = cause as { code?: string };
  const failed = `cannot listen on "${address}"`;
  if (code === "EADDRINUSE") {
    return new SysError("EADDRINUSE", `${failed}: another program has port ${bind.port}`, {
      hint: `choose another with --http, or see who has it: ss -ltnp 'sport = :${bind.port}'`,
      cause,
    });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new SysError("EACCES", `${failed}: ports below 1024 need root`, {
      hint: "choose a higher one, such as --http :8080",
      cause,
    });
  }
  return new SysError("EINVAL", `${failed}: this machine has no such address`, {
    hint: "write --http 127.0.0.1:8080, or --http :8080 for every interface",
    cause,
  });
}

/** A base URL a person at this machine can open. */
export function openUrl(server: Server): string {
  const { hostname, port } = server;
  const every = hostname === undefined || hostname === "::" || hostname === "0.0.0.0";
  const name = every ? "localhost" : hostname.includes(":") ? `[${hostname}]` : hostname;
  return `http://${name}${port === 80 ? "" : `:${port}`}`;
}
