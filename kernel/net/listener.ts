/**
 * The listening socket: `Bun.serve` with every default that matters set.
 *
 * Rules: an address in use is an error, shared with nobody but one's own successor; nothing of an error ever
 * reaches a client; a body is at most an upload and the room to refuse it, whoever it is for. Over
 * TLS only what is modern is spoken (BCP 195): 1.3, and 1.2 with forward secrecy and AEAD.
 */
import { SysError } from "../errno.ts";
import type { Answer } from "./backend.ts";
import type { TlsEntry } from "./cert/mod.ts";
import type { Server } from "./exchange.ts";
import { type Bind, parseBind } from "./host.ts";
import { osBodyBytesMax, refusalBytes } from "./limits.ts";
import type { Link } from "./socket.ts";
import { listenersOf, steerToNewest } from "./steer.ts";

/** What a listener does, and what it shows where it speaks TLS. */
export interface Serving {
  readonly handle: (request: Request, server: Server) => Answer;
  readonly websocket: Bun.WebSocketHandler<Link>;
  /** The table of server names; null is plain HTTP. */
  readonly tls: readonly TlsEntry[] | null;
  /** Seconds of its timer. */
  readonly idleS: number;
}

/** What TLS 1.2 may use; 1.3 has only such (RFC 9325, 4.2). 1.0 and 1.1 are off by themselves. */
const ciphers = ["ECDSA", "RSA"]
  .flatMap((kind) =>
    ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"].map(
      (cipher) => `ECDHE-${kind}-${cipher}`,
    ),
  )
  .join(":");

/** Makes a server; `shared` lets another of this process have the same port. */
function serve(at: { hostname: string; port: number; shared: boolean }, serving: Serving): Server {
  const { handle, websocket, tls, idleS } = serving;
  return Bun.serve<Link>({
    hostname: at.hostname,
    port: at.port,
    development: false,
    reusePort: at.shared,
    idleTimeout: idleS,
    maxRequestBodySize: osBodyBytesMax + refusalBytes,
    websocket,
    fetch: handle,
    error: () => new Response("Internal error\n", { status: 500 }),
    ...(tls !== null && { http2: true, tls: tls.map((entry) => ({ ...entry, ciphers })) }),
  });
}

/**
 * Listens on an address such as `127.0.0.1:8080`; `beside`: together with the kernel that hands over
 * to this one, new connections coming here. EADDRINUSE, EACCES, EINVAL.
 */
export function bindServer(address: string, serving: Serving, beside = false): Server {
  const flag = serving.tls === null ? "http" : "https";
  const bind = parseBind(address, flag);
  const open = (hostname: string): Server => {
    const at = { hostname, port: bind.port, shared: beside };
    if (beside) {
      const before = listenersOf(bind.port);
      const server = serve(at, serving);
      steerToNewest(bind.port, before);
      return server;
    }
    // A port to be shared with one's own successor would be shared with a stranger's too: the
    // first time it must be free.
    const first = serve(at, { ...serving, tls: null });
    const port = first.port ?? 0;
    void first.stop(true);
    return serve({ hostname, port, shared: true }, serving);
  };
  try {
    return open(bind.hostname ?? "::");
  } catch (error) {
    const { code } = error as { code?: string };
    const noIpv6 = code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL";
    if (bind.hostname !== null || !noIpv6) throw refusal({ address, bind, flag }, error);
  }
  try {
    return open("0.0.0.0");
  } catch (error) {
    throw refusal({ address, bind, flag }, error);
  }
}

/** A second server on the port of one that speaks TLS, to take its place. */
export function bindSuccessor(server: Server, serving: Serving): Server {
  const { hostname, port } = server;
  return serve({ hostname: hostname ?? "::", port: port ?? 0, shared: true }, serving);
}

function refusal(
  { address, bind, flag }: { address: string; bind: Bind; flag: string },
  cause: unknown,
): SysError {
  const { code } = cause as { code?: string };
  const failed = `cannot listen on "${address}"`;
  if (code === "EADDRINUSE") {
    return new SysError("EADDRINUSE", `${failed}: another program has port ${bind.port}`, {
      hint: `choose another with --${flag}, or see who has it: ss -ltnp 'sport = :${bind.port}'`,
      cause,
    });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new SysError("EACCES", `${failed}: ports below 1024 need root`, {
      hint: `choose a higher one, such as --${flag} :8080`,
      cause,
    });
  }
  return new SysError("EINVAL", `${failed}: this machine has no such address`, {
    hint: `write --${flag} 127.0.0.1:8080, or --${flag} :8080 for every interface`,
    cause,
  });
}

/** A base URL a person at this machine can open. */
export function openUrl(server: Pick<Server, "hostname" | "port" | "protocol">): string {
  const { hostname, port, protocol } = server;
  const every = hostname === undefined || hostname === "::" || hostname === "0.0.0.0";
  const name = every ? "localhost" : hostname.includes(":") ? `[${hostname}]` : hostname;
  const scheme = protocol === "https" ? "https" : "http";
  return `${scheme}://${name}${portSuffix(port ?? 0, scheme)}`;
}

/** Where a server listens. */
export function openedAt(server: Server): { readonly url: string; readonly port: number } {
  return { url: openUrl(server), port: server.port ?? 0 };
}

/** `:8080`, or nothing where the port is the scheme's own. */
export function portSuffix(port: number, scheme: "http" | "https"): string {
  return port === (scheme === "http" ? 80 : 443) ? "" : `:${port}`;
}
