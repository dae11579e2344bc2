/**
 * One request to one address: the name is resolved here, the resolved addresses are filtered, and
 * the connection is made to the very address that passed, with the name in Host, SNI and the
 * certificate's check. No proxy of the environment is used: it would resolve again.
 *
 * Rules: an answer of a resolver is never trusted twice, so that rebinding a name gains nothing;
 * bodies are not decoded here, so that a bomb bursts in the app that fetched it.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import type { Reach } from "./address.ts";
import { egressHeadMsMax, egressNameMsMax } from "./limits.ts";
import { bareHost } from "./pattern.ts";
import type { HeaderLines } from "./secret.ts";

/** Addresses of a name, as the machine's resolver gives them. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** The resolver of this machine (getaddrinfo): its hosts file and its DNS. */
export const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

export interface Outgoing {
  readonly url: URL;
  readonly method: string;
  readonly headers: HeaderLines;
  readonly body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
  /** The owner opened near addresses for this host. */
  readonly near: boolean;
  readonly signal: AbortSignal;
}

export interface Connector {
  readonly machine: Machine;
  readonly resolve: Resolve;
  readonly reach: (address: string) => Reach;
}

/** The addresses a request may go to, first choice first. ENOENT, EACCES. */
async function addressesOf(
  on: Connector,
  { url, near, signal }: Pick<Outgoing, "url" | "near" | "signal">,
): Promise<string[]> {
  const host = bareHost(url.hostname);
  const literal = host.startsWith("[") ? host.slice(1, -1) : host;
  const all = isIP(literal) === 0 ? await resolved(on, host, signal) : [literal];
  const open = all.filter((address) => {
    const far = on.reach(address);
    return far === "public" || (near && far === "near");
  });
  if (open.length > 0) return open;
  const where = all[0] === undefined ? "no address" : `${all[0]} is not on the public internet`;
  const nearby = all.some((address) => on.reach(address) === "near");
  throw new SysError("EACCES", `cannot fetch from "${host}": ${where}`, {
    hint: nearby
      ? `the owner can open it: fazt net egress allow APP ${host} --near`
      : "apps reach public addresses only",
  });
}

async function resolved(
  on: Connector,
  host: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { promise: over, reject } = Promise.withResolvers<never>();
  const late = (): void => {
    const seconds = egressNameMsMax / 1000;
    reject(new SysError("ETIMEDOUT", `cannot fetch from "${host}": no address in ${seconds} s`));
  };
  const gone = (): void => reject(signal.reason);
  const timer = on.machine.after(egressNameMsMax, late);
  signal.addEventListener("abort", gone);
  try {
    return await Promise.race([on.resolve(host), over]);
  } catch (cause) {
    if (cause instanceof SysError || signal.aborted) throw cause;
    throw new SysError("ENOENT", `cannot fetch from "${host}": no such name`, {
      hint: "check the spelling, and the machine's DNS: fazt net dns HOST",
      cause,
    });
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", gone);
  }
}

/** Makes the request. ENOENT, EACCES, EIO (connection, TLS), ETIMEDOUT, ECANCELED. */
export async function send(on: Connector, out: Outgoing): Promise<Response> {
  const addresses = await addressesOf(on, out).catch((error: unknown) => {
    throw told(error, out);
  });
  const retriable = !(out.body instanceof ReadableStream);
  let failure: unknown = null;
  for (const address of retriable ? addresses : addresses.slice(0, 1)) {
    try {
      return await sendTo(on, out, address);
    } catch (error) {
      if (out.signal.aborted || error instanceof SysError) throw told(error, out);
      failure = error;
      if (!neverConnected(error)) break;
    }
  }
  throw told(failure, out);
}

const neverConnected = (error: unknown): boolean =>
  /ConnectionRefused|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|FailedToOpenSocket/.test(
    String((error as { code?: unknown }).code),
  );

async function sendTo(on: Connector, out: Outgoing, address: string): Promise<Response> {
  const { url } = out;
  const there = new URL(url);
  there.hostname = address.includes(":") ? `[${address.replace(/%.*$/, "")}]` : address;
  const headers = new Headers(out.headers as [string, string][]);
  headers.set("host", url.host);
  const late = new AbortController();
  const timer = on.machine.after(egressHeadMsMax, () => late.abort());
  try {
    return await fetch(there, {
      method: out.method,
      headers,
      body: out.body,
      redirect: "manual",
      decompress: false,
      proxy: false,
      tls: { serverName: bareHost(url.hostname), rejectUnauthorized: true },
      signal: AbortSignal.any([out.signal, late.signal]),
    } as unknown as RequestInit);
  } catch (error) {
    if (!late.signal.aborted) throw error;
    const seconds = egressHeadMsMax / 1000;
    throw new SysError("ETIMEDOUT", `cannot fetch from "${url.host}": no answer in ${seconds} s`);
  } finally {
    timer.cancel();
  }
}

/** A failure as the app is told it: what happened, without what was sent. */
function told(error: unknown, { url, signal }: Outgoing): SysError {
  if (error instanceof SysError) return error;
  if (signal.aborted) {
    return new SysError("ECANCELED", `cannot fetch from "${url.host}": canceled by the app`);
  }
  const code = String((error as { code?: unknown } | null)?.code ?? "failed");
  const tls = /CERT|TLS|SSL|SELF_SIGNED|ISSUER/.test(code);
  return new SysError("EIO", `cannot fetch from "${url.host}": ${code}`, {
    hint: tls ? "its certificate is not trusted for this name" : "is the server up?",
    cause: error,
  });
}
