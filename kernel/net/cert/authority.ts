/**
 * A certificate authority as orders need it, over ACME (RFC 8555): nonces, signatures and account
 * binding are acme-client's; what is asked, and what an answer means, is here.
 *
 * Rules: no request is repeated here, and none waits: the state machine decides (acme-client's own
 * answer to a refused nonce apart); every failure says what the authority said.
 */
import type * as AcmeClient from "acme-client";
import { ordersLookedAt, remoteMsMax } from "./limits.ts";
import type { Proof, Seen } from "./order.ts";
import type { Window } from "./plan.ts";

/** How an authority is reached and who asks. */
export interface AuthorityOptions {
  readonly directory: string;
  /** PKCS 8 PEM, ECDSA. */
  readonly accountKey: string;
  readonly accountUrl: string | null;
  readonly email: string | null;
  /** External account binding (RFC 8555, 7.3.4). */
  readonly binding: { readonly kid: string; readonly hmacKey: string } | null;
  /** PEM of roots to trust beside the system's; for authorities that are not public. */
  readonly roots: string | null;
}

export interface Authority {
  /** The account's URL; registers the key, or finds it registered. */
  register(): Promise<string>;
  /** The URL of an order for these names; `lost`: one of ours may be open, which is then taken. */
  order(
    names: readonly string[],
    about: { readonly replaces: string | null; readonly lost: boolean },
  ): Promise<string>;
  look(url: string, kind: Proof["kind"]): Promise<Seen>;
  answer(proof: Proof): Promise<void>;
  /** Sends the signing request if the order is ready for it, and says how it stands. */
  finalize(url: string, about: { names: readonly string[]; key: string }): Promise<Seen>;
  /** PEM, the certificate itself first. */
  download(url: string): Promise<string>;
  /** When it wants the certificate renewed (RFC 9773); null where it has no opinion. */
  renewal(certId: string): Promise<{ window: Window; retryAfterMs: number | null } | null>;
}

/** What an authority refused, or that it could not be asked. */
export class AuthorityError extends Error {
  readonly transient: boolean;
  readonly retryAfterMs: number | null;

  constructor(text: string, about: { transient: boolean; retryAfterMs?: number | null }) {
    super(text);
    this.transient = about.transient;
    this.retryAfterMs = about.retryAfterMs ?? null;
  }
}

/** The part of acme-client that its types do not tell. */
interface Reply {
  readonly status: number;
  readonly data: unknown;
  readonly headers: Readonly<Record<string, string | undefined>>;
}
interface Http {
  getResourceUrl(name: string): Promise<string>;
  getDirectory(): Promise<Record<string, unknown>>;
  signedRequest(
    url: string,
    payload: object | null,
    options: { kid: string | null; includeExternalAccountBinding?: boolean },
  ): Promise<Reply>;
  request(url: string, method: string): Promise<Reply>;
}

interface OrderBody {
  readonly status: Seen["status"];
  readonly identifiers: readonly { readonly value: string }[];
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate?: string;
  readonly error?: ProblemBody;
}
interface ChallengeBody {
  readonly type: string;
  readonly url: string;
  readonly token: string;
  readonly status: string;
  readonly error?: ProblemBody;
}
interface AuthorizationBody {
  readonly status: string;
  readonly identifier: { readonly value: string };
  readonly challenges: readonly ChallengeBody[];
}
interface ProblemBody {
  readonly type?: string;
  readonly detail?: string;
  readonly subproblems?: readonly (ProblemBody & { identifier?: { value?: string } })[];
}

/** States of an order that can still become a certificate. */
const openOrders = new Set<string>(["pending", "ready", "processing"]);

export async function createAuthority(options: AuthorityOptions): Promise<Authority> {
  const acme = await loadClient(options.roots);
  const client = new acme.Client({
    directoryUrl: options.directory,
    accountKey: options.accountKey,
    ...(options.binding !== null && { externalAccountBinding: options.binding }),
  });
  const { http } = client as unknown as { http: Http };
  let account = options.accountUrl;

  /** Without an account the key itself is sent, and the binding with it. */
  const ask = async (what: string, url: string, payload: object | null = null): Promise<Reply> => {
    const request = { kid: account, includeExternalAccountBinding: account === null };
    const reply = await reached(what, () => http.signedRequest(url, payload, request));
    if (reply.status < 400) return reply;
    throw refusal(what, reply);
  };
  const resource = (name: string) => reached("its directory", () => http.getResourceUrl(name));

  const register = async (): Promise<string> => {
    if (account !== null) return account;
    const contact = options.email === null ? {} : { contact: [`mailto:${options.email}`] };
    const wanted = { termsOfServiceAgreed: true, ...contact };
    const reply = await ask("register", await resource("newAccount"), wanted);
    account = reply.headers["location"] ?? null;
    if (account === null) throw new AuthorityError("register: no account URL", { transient: true });
    return account;
  };

  /** An order of ours that is open: its URL was lost when we were killed. Not every list exists. */
  const findLost = async (names: readonly string[]): Promise<string | null> => {
    const about = await ask("the account", await register());
    const { orders } = about.data as { orders?: string };
    if (orders === undefined) return null;
    const urls: string[] = [];
    for (let page: string | null = orders; page !== null && urls.length < ordersLookedAt; ) {
      const list: Reply | null = await ask("the account's orders", page).catch(() => null);
      urls.push(...((list?.data as { orders?: readonly string[] } | undefined)?.orders ?? []));
      page = /<([^>]+)>;\s*rel="next"/.exec(list?.headers["link"] ?? "")?.[1] ?? null;
    }
    for (const url of urls.reverse()) {
      const { status, identifiers } = (await ask("an order", url)).data as OrderBody;
      const same = sameNames(
        names,
        identifiers.map(({ value }) => value),
      );
      if (same && openOrders.has(status)) return url;
    }
    return null;
  };

  const proofOf = async (body: AuthorizationBody, kind: Proof["kind"]): Promise<Proof> => {
    const challenge = body.challenges.find(({ type }) => type === kind);
    if (challenge === undefined) {
      const text = `the authority offers no ${kind} for "${body.identifier.value}"`;
      throw new AuthorityError(text, { transient: false });
    }
    const { url, token, status } = challenge;
    const known = { type: kind, url, token, status: "pending" } as const;
    const value = await client.getChallengeKeyAuthorization(known);
    return { name: body.identifier.value, kind, url, token, value, answered: status !== "pending" };
  };

  const seenOf = async (reply: Reply, kind: Proof["kind"] | null): Promise<Seen> => {
    const order = reply.data as OrderBody;
    const { status } = order;
    const bodies =
      (status === "pending" || status === "invalid") && kind !== null
        ? await Promise.all(order.authorizations.map((url) => ask("an authorization", url)))
        : [];
    const authorizations = bodies.map(({ data }) => data as AuthorizationBody);
    const open = authorizations.filter((one) => one.status === "pending");
    const proofs = kind === null ? [] : await Promise.all(open.map((one) => proofOf(one, kind)));
    return {
      status,
      proofs,
      certificate: order.certificate ?? null,
      error: status === "invalid" ? reasonOf(order, authorizations) : null,
      retryAfterMs: retryAfter(reply),
    };
  };

  return {
    register,
    order: async (names, { replaces, lost }) => {
      const found = lost ? await findLost(names) : null;
      if (found !== null) return found;
      const identifiers = names.map((value) => ({ type: "dns", value }));
      const wanted = { identifiers, ...(replaces !== null && { replaces }) };
      const reply = await ask("the order", await resource("newOrder"), wanted);
      const url = reply.headers["location"];
      if (url === undefined) throw new AuthorityError("no order URL", { transient: true });
      return url;
    },
    look: async (url, kind) => seenOf(await ask("the order", url), kind),
    answer: async ({ name, url }) => {
      await ask(`the proof for "${name}"`, url, {});
    },
    finalize: async (url, { names, key }) => {
      const now = await ask("the order", url);
      const body = now.data as OrderBody;
      if (body.status !== "ready") return seenOf(now, "http-01");
      const [, csr] = await acme.crypto.createCsr({ altNames: [...names] }, key);
      const der = Buffer.from(csr.toString().replace(/-----[^-]+-----|\s/g, ""), "base64");
      const wanted = { csr: der.toString("base64url") };
      return seenOf(await ask("the signing request", body.finalize, wanted), null);
    },
    download: async (url) => String((await ask("the certificate", url)).data),
    renewal: async (certId) => {
      const directory = await reached("its directory", () => http.getDirectory());
      const base = directory["renewalInfo"];
      if (typeof base !== "string") return null;
      const reply = await reached("renewal", () => http.request(`${base}/${certId}`, "get"));
      const { suggestedWindow: told } = (reply.data ?? {}) as {
        suggestedWindow?: { start: string; end: string };
      };
      if (reply.status !== 200 || told === undefined) return null;
      const window = { start: Date.parse(told.start), end: Date.parse(told.end) };
      const sound = Number.isFinite(window.start) && window.end >= window.start;
      return sound ? { window, retryAfterMs: retryAfter(reply) } : null;
    },
  };
}

/** acme-client, told not to wait and repeat by itself, and whom to trust. */
async function loadClient(roots: string | null): Promise<typeof AcmeClient> {
  const acme = await import("acme-client");
  const { Agent } = await import("node:https");
  const { rootCertificates } = await import("node:tls");
  const { defaults } = acme.axios;
  const settings = (defaults as unknown as { acmeSettings: { retryMaxAttempts: number } })
    .acmeSettings;
  settings.retryMaxAttempts = 0;
  // Its own makes a TypeError of whatever has no answer: why nobody could be reached would be lost.
  const { response } = acme.axios.interceptors;
  response.clear();
  response.use(null, (error: { response?: unknown }) => error.response ?? Promise.reject(error));
  defaults.timeout = remoteMsMax;
  defaults.httpsAgent =
    roots === null ? undefined : new Agent({ ca: [...rootCertificates, roots], keepAlive: true });
  return acme;
}

/** What the network makes of a request: a failure to reach is one that may pass. */
async function reached<T>(what: string, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (error instanceof AuthorityError) throw error;
    const { message, code } = error as { message?: string; code?: string };
    const why = message || code || String(error);
    throw new AuthorityError(`cannot ask the authority for ${what}: ${why}`, { transient: true });
  }
}

function refusal(what: string, reply: Reply): AuthorityError {
  const problem = (typeof reply.data === "object" ? reply.data : null) as ProblemBody | null;
  const kind = problem?.type?.split(":").at(-1) ?? "";
  const busy = reply.status >= 500 || reply.status === 429;
  const transient = busy || kind === "badNonce" || kind === "rateLimited";
  const text = `the authority refused ${what} (${reply.status}): ${wordsOf(problem)}`;
  return new AuthorityError(text, { transient, retryAfterMs: retryAfter(reply) });
}

/** A problem document in one line (RFC 7807, RFC 8555, 6.7). */
function wordsOf(problem: ProblemBody | null): string {
  if (problem === null) return "no reason given";
  const kind = problem.type?.split(":").at(-1);
  const below = (problem.subproblems ?? []).map(
    (one) => `${one.identifier?.value ?? "?"}: ${wordsOf(one)}`,
  );
  const own = [kind, problem.detail].filter((text) => text !== undefined).join(": ");
  return [own || "no reason given", ...below].join("; ");
}

function reasonOf(order: OrderBody, authorizations: readonly AuthorizationBody[]): string {
  const told = authorizations.flatMap(({ identifier, challenges }) =>
    challenges.flatMap(({ error }) =>
      error === undefined ? [] : [`${identifier.value}: ${wordsOf(error)}`],
    ),
  );
  if (told.length > 0) return told.join("; ");
  return order.error === undefined ? "no reason given" : wordsOf(order.error);
}

/** Seconds or a date (RFC 9110, 10.2.3), as milliseconds from the answer's own date. */
function retryAfter({ headers }: Reply): number | null {
  const text = headers["retry-after"];
  if (text === undefined) return null;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const from = Date.parse(headers["date"] ?? "");
  const until = Date.parse(text);
  return Number.isFinite(from) && Number.isFinite(until) ? Math.max(0, until - from) : null;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join() === [...b].sort().join();
}
