/**
 * Something between a kernel and its authority that loses requests or replies at chosen moments:
 * what was asked, by kind, and what is done when a kind is seen.
 */
import { realMachine } from "../kernel/machine.ts";
import { makeSelf } from "../kernel/net/cert/mod.ts";
import type { Pebble } from "./pebble.ts";

/** What a request is for, by Pebble's paths. */
const kinds: Readonly<Record<string, string>> = {
  "/sign-me-up": "account",
  "/my-account": "account seen",
  "/list-orderz": "orders",
  "/order-plz": "order",
  "/my-order": "order seen",
  "/authZ": "authorization",
  "/chalZ": "challenge",
  "/finalize-order": "finalize",
  "/certZ": "certificate",
};

export type Moment = "before" | "after";

/** What the proxy adds to an authority that does not know of renewal information (RFC 9773). */
export interface Renewals {
  /** Answers for a certificate's identifier. */
  readonly info: (certId: string) => object;
  /** Told of each order's payload. */
  readonly ordered: (order: { readonly replaces?: string }) => void;
}

export interface AcmeProxy extends AsyncDisposable {
  readonly directory: string;
  readonly roots: string;
}

const infoPath = "/renewal-info/";

/** What a signed request says (RFC 7515, 7.2.2). */
function payloadOf(body: string): object {
  const { payload } = JSON.parse(body) as { payload: string };
  return JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
}

/**
 * Starts one. `lose` is asked before a request is forwarded and after its reply has come; when it
 * answers true, the client hears nothing any more.
 */
export function startAcmeProxy(
  pebble: Pebble,
  lose: (kind: string, moment: Moment) => Promise<boolean>,
  renewals: Renewals | null = null,
): AcmeProxy {
  const { chain, key } = makeSelf(realMachine(), ["127.0.0.1"]);
  const silence = () => new Promise<Response>(() => undefined);
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    tls: { cert: chain, key },
    fetch: async (request) => {
      const { pathname, origin } = new URL(request.url);
      if (renewals !== null && pathname.startsWith(infoPath)) {
        const told = renewals.info(pathname.slice(infoPath.length));
        return Response.json(told, { headers: { "retry-after": "21600" } });
      }
      const start = Object.keys(kinds).find((path) => pathname.startsWith(path));
      const kind = request.method === "POST" && start !== undefined ? kinds[start] : undefined;
      if (kind !== undefined && (await lose(kind, "before"))) return await silence();
      const body = request.method === "POST" ? await request.text() : null;
      if (kind === "order" && body !== null) renewals?.ordered(payloadOf(body));
      // Pebble makes its URLs of the Host it is asked by: they lead here.
      const reply = await fetch(new URL(pathname, pebble.directory), {
        method: request.method,
        headers: request.headers,
        body,
        redirect: "manual",
        tls: { ca: pebble.roots, checkServerIdentity: () => undefined },
      });
      const bytes = await reply.arrayBuffer();
      if (kind !== undefined && reply.ok && (await lose(kind, "after"))) return await silence();
      if (renewals !== null && pathname === "/dir") {
        const directory = JSON.parse(Buffer.from(bytes).toString());
        return Response.json({ ...directory, renewalInfo: origin + infoPath.slice(0, -1) });
      }
      return new Response(bytes, { status: reply.status, headers: reply.headers });
    },
  });
  return {
    directory: `https://127.0.0.1:${server.port}/dir`,
    roots: chain,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
