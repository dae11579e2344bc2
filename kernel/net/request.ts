/**
 * From a request to who answers it.
 *
 * Order: a file of a known host (the hot path, synchronous) → the machine unclaimed, or its health
 * → the host's holder: the OS, an app, the landing page → 421.
 *
 * Rules: the Host header alone picks who answers, whatever the target of the request says; what is
 * remembered of a host is forgotten with the table it came from; nothing here throws to the
 * listener.
 */
import type { App, Apps } from "../app/mod.ts";
import type { Page } from "../page.ts";
import type { Security } from "../security/mod.ts";
import { type Answer, answerApp, type Backend } from "./backend.ts";
import type { Certs } from "./cert/mod.ts";
import { type Clients, policiesOf } from "./client/mod.ts";
import {
  type AppHost,
  type Desk,
  type Exchange,
  fail,
  fileBytes,
  finish,
  pathOf,
  refuse,
  retime,
  type Server,
  searchOf,
  untime,
} from "./exchange.ts";
import { isLoopback, parseHost, plainAddress } from "./host.ts";
import { hostsRememberedMax, restFactor } from "./limits.ts";
import { portSuffix } from "./listener.ts";
import type { OsHandler } from "./net.ts";
import { landing, moved, refusals, resting, tooMany } from "./page.ts";
import { lookupPath } from "./prefix.ts";
import { drain, endingWith, isFramingDoubtful, isLong } from "./proxy.ts";
import type { Routes } from "./route.ts";
import { betterHost, type Rules } from "./rule/mod.ts";
import { asksForSocket } from "./socket.ts";
import { type Holder, lookup, type Table } from "./table.ts";

export interface Reception {
  readonly desk: Desk;
  readonly apps: Apps;
  readonly security: Security;
  readonly routes: Routes;
  readonly rules: Rules;
  readonly backend: Backend;
  readonly certs: Certs;
  readonly os: OsHandler;
  readonly secure: boolean;
  /** The ports of the listeners, null where there is none. */
  readonly ports: { plain(): number | null; secure(): number | null };
  /** The OS host's URL, for the landing page. */
  osUrl(): string;
}

/** The handler of one listener. */
export function createReception(reception: Reception) {
  const { desk, routes, backend } = reception;
  const { clients } = backend;
  const known = createKnownHosts(reception, (host) => hstsOf(reception, host));
  return (request: Request, server: Server): Answer => {
    const startedMs = desk.machine.monotonicMs();
    const header = request.headers.get("host");
    const host = header === null ? null : known.get(header, routes.table());
    const hot =
      host === null || clients.armed() || desk.access.namesClients()
        ? null
        : answerHot(desk, request, { host, startedMs });
    if (hot !== null) {
      backend.proc.answers(startedMs);
      return hot;
    }
    const socket = server.requestIP(request);
    const address = socket === null ? null : plainAddress(socket.address);
    const visitor = clients.visitor(address, request.headers, reception.secure);
    const bodyBytes = reception.secure || request.method === "GET" ? 0 : lengthOf(request);
    const { client } = visitor;
    const peer = { address: address ?? "", port: socket?.port ?? 0, client, bodyBytes };
    desk.underWay.add(peer);
    const exchange: Exchange = {
      desk,
      id: desk.access.nextId(),
      request,
      server,
      startedMs,
      hostHeader: header,
      pathname: pathOf(request.url),
      visitor,
      peer,
      rateHeaders: null,
      hsts: null,
      host: null,
    };
    try {
      const refusal = strangerPage(clients, exchange);
      if (refusal !== null) return refuse(exchange, refusal);
      routes.checkDomain();
      const answer = answerAny(reception, exchange, known);
      return reception.secure ? heard(exchange, answer, clients.limits.headS) : answer;
    } catch (error) {
      return fail(exchange, error);
    }
  };
}

/** An answer over TLS to whom still sends a body that nobody has begun to read (`endingWith`). */
function heard({ request, desk: { machine } }: Exchange, answer: Answer, headS: number): Answer {
  if (request.method === "GET" || request.method === "HEAD") return answer;
  const restMs = headS * restFactor * 1000;
  const end = (response: Response | undefined) => {
    const { body } = request;
    const unread = !request.bodyUsed && body !== null && !body.locked;
    if (response === undefined || !unread) return response;
    return endingWith(response, drain(body, { machine, restMs }));
  };
  return answer instanceof Promise ? answer.then(end) : end(answer);
}

/** Over TLS there is more on the line than bodies: only a plain one can be compared with it. */
const lengthOf = (request: Request): number => Number(request.headers.get("content-length") ?? 0);

/** What a client is told that may not come, or comes too often; null: it is let in. */
function strangerPage(clients: Clients, { visitor, hostHeader }: Exchange): Page | null {
  if (visitor.denied) return refusals.denied;
  if (visitor.exempt) return null;
  // By its spelling alone: whoever misspells it pays from the same purse as with any other host.
  const judgement = clients.refuses(visitor, hostHeader?.startsWith("os.") ? "os" : "app");
  return judgement === null ? null : tooMany(judgement.headers);
}

/** Apps by Host header as spelled, so that a known one is found without parsing. */
interface KnownHosts {
  get(header: string, table: Table): AppHost | null;
  make(header: string, to: { app: App; prefix: string }, table: Table): AppHost;
}

function createKnownHosts(
  { apps, desk }: Reception,
  hsts: (host: string) => string | null,
): KnownHosts {
  let hosts = new Map<string, AppHost>();
  let from: Table | null = null;
  const fresh = (table: Table): Map<string, AppHost> => {
    if (table !== from || hosts.size >= hostsRememberedMax) hosts = new Map();
    from = table;
    return hosts;
  };
  return {
    get: (header, table) => (table === from ? hosts.get(header) : undefined) ?? null,
    make: (header, { app, prefix }, table) => {
      // No Host header has a slash, so that a part is never found as the whole.
      const remembered = fresh(table).get(header + prefix);
      if (remembered !== undefined) return remembered;
      const release = app.releaseId === null ? null : apps.release(app.releaseId);
      const name = parseHost(header) ?? "";
      const host: AppHost = {
        name,
        prefix,
        app,
        release,
        site: release === null ? null : apps.site(release),
        hasServer: release !== null && release.manifest.server !== null,
        traffic: desk.traffic.of(name),
        policies: policiesOf(release?.manifest.rate ?? null),
        hsts: hsts(name),
        files: new Map(),
      };
      hosts.set(header + prefix, host);
      return host;
    },
  };
}

/** The short way: a file that has been answered before. Null when it must go the longer one. */
function answerHot(
  desk: Desk,
  request: Request,
  { host, startedMs }: { host: AppHost; startedMs: number },
): Response | null {
  const file = host.files.get(request.url);
  if (file === undefined || host.site === null || desk.draining || desk.reach.cockpitOnly)
    return null;
  if (host.hasServer && asksForSocket(request)) return null;
  const response = host.site.answer(request, file.pathname);
  if (!(response instanceof Response)) return null;
  const { access, machine } = desk;
  const { tally } = file;
  const id = access.nextId();
  response.headers.set("x-request-id", id);
  if (host.hsts !== null) response.headers.set("strict-transport-security", host.hsts);
  const asked = { request, pathname: file.pathname };
  const bytes = tally.first === null ? fileBytes(host.site, response, asked) : null;
  const ms = machine.monotonicMs() - startedMs;
  const { status } = response;
  const { name, app, traffic } = host;
  const about = { id, host: name, method: request.method, path: file.pathname, status };
  access.noteAlike({ ...about, bytes, ms, app, client: null, traffic }, tally);
  return response;
}

/** Gives the request to whoever its host belongs to. */
function answerAny(reception: Reception, exchange: Exchange, hosts: KnownHosts): Answer {
  const { request, pathname, hostHeader: header } = exchange;
  const table = reception.routes.table();
  const known = header === null ? null : hosts.get(header, table);
  const host = known === null ? parseHost(header) : known.name;
  if (host === null && header !== null && header !== "") return refuse(exchange, refusals.badHost);
  if (!pathname.startsWith("/")) return refuse(exchange, refusals.badTarget);
  if (request.method === "TRACE" || request.method === "CONNECT") {
    return refuse(exchange, refusals.forbiddenMethod);
  }
  if (isFramingDoubtful(request.headers)) return refuse(exchange, refusals.badFraming);
  const proof = proofFor(reception, pathname);
  if (proof !== null) return finish(exchange, proof);
  const unclaimed = reception.security.owner() === null;
  if (unclaimed || pathname === "/sys/health") return answerOs(reception, exchange, unclaimed);
  if (host === null || header === null) return refuse(exchange, refusals.badHost);
  const secured = securedUrl(reception, exchange, host);
  if (secured !== null) return refuse(exchange, moved(secured));
  exchange.hsts = known === null ? hstsOf(reception, host) : known.hsts;
  const part = lookupPath(table, host, pathname);
  const holder: Holder | null = part === null ? lookup(table, host) : { kind: "app", ...part };
  if (exchange.desk.reach.cockpitOnly && holder !== null && holder.kind !== "os") {
    return refuse(exchange, refusals.cockpitOnly);
  }
  const asked = { host, holder, table, part: part !== null };
  const ruled = ruledPage(reception, exchange, asked);
  if (ruled !== null) return refuse(exchange, ruled);
  if (holder?.kind === "app") {
    const prefix = part?.prefix ?? "";
    exchange.host =
      (part === null ? known : null) ?? hosts.make(header, { app: holder.app, prefix }, table);
    return answerApp(reception.backend, exchange, exchange.host);
  }
  if (holder === null && table.paths.has(host)) return refuse(exchange, refusals.notFound);
  if (holder === null || (holder.local && !isLoopback(exchange.visitor.address))) {
    return refuse(exchange, refusals.unknownHost);
  }
  if (holder.kind === "os") return answerOs(reception, exchange, false);
  return refuse(exchange, pathname === "/" ? landing(reception.osUrl()) : refusals.notFound);
}

/** What the owner's rules say before any app: another host, or that the app rests. */
function ruledPage(
  reception: Reception,
  exchange: Exchange,
  asked: { host: string; holder: Holder | null; table: Table; part: boolean },
): Page | null {
  const { rules, certs } = reception;
  const { request, pathname, visitor } = exchange;
  const { host, holder, table, part } = asked;
  const elsewhere = rules.redirect(host);
  if (elsewhere !== null) {
    return moved(`${elsewhere.to}${pathname}${searchOf(request.url)}`, elsewhere.permanent);
  }
  const better = part ? null : betterHost(host, table, rules);
  if (better !== null) {
    const scheme = visitor.secure || certs.isTrusted(better) ? "https" : "http";
    return moved(urlAt(reception, exchange, { host: better, scheme }));
  }
  const rest = holder?.kind === "app" ? rules.rest(holder.app.id) : null;
  return rest === null ? null : resting(rest.retryAfterS);
}

const proofPath = "/.well-known/acme-challenge/";

/** What an authority asks for over HTTP to see that the host is ours; else the app may answer. */
function proofFor({ secure, certs }: Reception, pathname: string): Response | null {
  if (secure || !pathname.startsWith(proofPath)) return null;
  const text = certs.proofOf(pathname.slice(proofPath.length));
  if (text === null) return null;
  const headers = { "content-type": "application/octet-stream", "cache-control": "no-store" };
  return new Response(text, { headers });
}

/** What a browser is told so that it asks for nothing but HTTPS from now on; null: nothing. */
function hstsOf({ secure, certs }: Reception, host: string): string | null {
  return secure ? certs.hsts(host) : null;
}

/** Where a request over plain HTTP is to be made instead: its host has a certificate. */
function securedUrl(reception: Reception, exchange: Exchange, host: string): string | null {
  if (exchange.visitor.secure || !reception.certs.isTrusted(host)) return null;
  if (exchange.pathname.startsWith(proofPath)) return null;
  return urlAt(reception, exchange, { host, scheme: "https" });
}

/** The same path and query at another host or by another scheme. */
function urlAt(
  { secure, ports }: Reception,
  { request, visitor, hostHeader, pathname }: Exchange,
  { host, scheme }: { host: string; scheme: "http" | "https" },
): string {
  // Who came by another port than ours came through something that maps ports: then by the usual.
  const usual = visitor.secure ? 443 : 80;
  const came = Number(/:(\d+)$/.exec(hostHeader ?? "")?.[1] ?? usual);
  const own = came === (secure ? ports.secure() : ports.plain());
  const mapped = scheme === "https" ? 443 : 80;
  const port = own ? ((scheme === "https" ? ports.secure() : ports.plain()) ?? mapped) : mapped;
  return `${scheme}://${host}${portSuffix(port, scheme)}${pathname}${searchOf(request.url)}`;
}

async function answerOs(
  reception: Reception,
  exchange: Exchange,
  unclaimed: boolean,
): Promise<Response> {
  const { request, visitor, id } = exchange;
  const { address, secure } = visitor;
  reception.backend.proc.answers(exchange.startedMs);
  try {
    // Without a Host the target is a bare path, which is no URL.
    const whole = request.url.startsWith("/")
      ? new Request(`http://localhost${request.url}`, request)
      : request;
    // A call may last longer than the timer. A credential that is no good is refused before a body is read.
    const call = request.headers.has("authorization");
    const upload = isLong(request.headers, request.headers.has("transfer-encoding"));
    if (upload || call) untime(exchange);
    const response = await reception.os(whole, { address, secure, requestId: id, unclaimed });
    // Documents have no length here either, and are short.
    const document = /^(text\/html|application\/json)/i;
    const stream = !document.test(response.headers.get("content-type") ?? "text/html");
    if (isLong(response.headers, stream)) untime(exchange);
    else if (upload || call) retime(exchange);
    return finish(exchange, response);
  } catch (error) {
    return fail(exchange, error);
  }
}
