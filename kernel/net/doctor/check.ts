/**
 * What is wrong with a host, judged from what was seen. Pure: each check answers one line, and what
 * to do when it is not well.
 */

/** One line of the doctor's. `null`: it could not be told, which is no fault. */
export interface Finding {
  readonly check: "route" | "dns" | "http" | "https" | "caa" | "certificate" | "clock";
  readonly ok: boolean | null;
  readonly says: string;
  /** What to do; null when nothing is to be done. */
  readonly hint: string | null;
}

/** What was seen of a host. */
export interface Observed {
  readonly host: string;
  /** Who answers it here: an app's name, `os`, `redirect`; null: nobody. */
  readonly holder: string | null;
  /** Addresses in DNS; null: it could not be asked. */
  readonly addresses: readonly string[] | null;
  /** This machine's own addresses. */
  readonly own: readonly string[];
  /** What answered at the URL: `us`, `other`, or why nobody did. */
  readonly http: Answered;
  readonly https: Answered;
  /** Values of CAA records that allow issuing (RFC 8659); null: there are none. */
  readonly caa: readonly string[] | null;
  /** Name the authority has in CAA records; null: it is not a known one. */
  readonly issuer: string | null;
  readonly certificate: { state: string; expiresAt: number | null; problem: string | null } | null;
  /** How far this clock is ahead of the authority's, in ms; null: it could not be asked. */
  readonly aheadMs: number | null;
}

export type Answered = "us" | "other" | { readonly why: string };

/** An authority refuses what is signed far from its own time. */
const aheadMsMax = 60_000;

const fine = (check: Finding["check"], says: string): Finding => ({
  check,
  ok: true,
  says,
  hint: null,
});
const bad = (check: Finding["check"], says: string, hint: string): Finding => ({
  check,
  ok: false,
  says,
  hint,
});

/** Every check, in the order in which they are put right. */
export function diagnose(seen: Observed): Finding[] {
  return [
    route(seen),
    dns(seen),
    reach(seen, "http", 80),
    reach(seen, "https", 443),
    caa(seen),
    certificate(seen),
    clock(seen),
  ];
}

function route({ host, holder }: Observed): Finding {
  if (holder !== null) return fine("route", `${host} is answered by ${holder}`);
  return bad("route", `nobody answers ${host} here`, `fazt net route add ${host} APP`);
}

function dns({ host, addresses, own }: Observed): Finding {
  if (addresses === null) {
    const hint = "see whether this machine has a name server: fazt net iface ls";
    return { check: "dns", ok: null, says: "no name server could be asked", hint };
  }
  if (addresses.length === 0) {
    const hint = `set an A or AAAA record for ${host} to this machine's public address`;
    return bad("dns", `${host} has no address in DNS`, hint);
  }
  const list = addresses.join(", ");
  if (addresses.some((address) => own.includes(address))) {
    return fine("dns", `${host} is at ${list}, which is this machine`);
  }
  const hint = "right if a router or a load balancer there leads here; else change the record";
  return { check: "dns", ok: null, says: `${host} is at ${list}, not this machine's own`, hint };
}

function reach(seen: Observed, check: "http" | "https", port: number): Finding {
  const answered = seen[check];
  if (seen.addresses?.length === 0) {
    return { check, ok: null, says: `there is no address whose port ${port} to try`, hint: null };
  }
  if (answered === "us") return fine(check, `${check}://${seen.host} reaches this machine`);
  if (answered === "other") {
    const hint = "its DNS leads to another machine, or something in between answers";
    return bad(check, `something that is not fazt answers at port ${port}`, hint);
  }
  const here = seen.addresses?.some((address) => seen.own.includes(address)) ?? false;
  const refused = /refused/i.test(answered.why);
  const hint =
    here && refused
      ? `nothing listens at this machine's port ${port}: fazt proc start --${check} :${port}`
      : `let port ${port} through the firewall and the router to this machine`;
  return bad(check, `port ${port} cannot be reached: ${answered.why}`, hint);
}

function caa({ caa: allowed, issuer, host }: Observed): Finding {
  if (allowed === null) return fine("caa", "no CAA record keeps an authority from issuing");
  const list = allowed.join(", ");
  if (issuer === null) {
    return { check: "caa", ok: null, says: `CAA records allow ${list} alone`, hint: null };
  }
  if (allowed.includes(issuer)) return fine("caa", `CAA records allow ${issuer}`);
  const hint = `add a CAA record for ${host}: 0 issue "${issuer}"`;
  return bad("caa", `CAA records allow ${list || "nobody"}, not ${issuer}`, hint);
}

function certificate({ certificate: cert, host }: Observed): Finding {
  if (cert === null) {
    const hint =
      "names that are not public get none; a www. beside a routed host once DNS has it at the " +
      `same address, looked at every 10 minutes, and at once by fazt net cert renew ${host}; ` +
      "else route the host";
    return bad("certificate", `no certificate is asked for ${host}`, hint);
  }
  if (cert.problem !== null) {
    const hint = `put it right, then: fazt net cert renew ${host}`;
    return bad("certificate", cert.problem, hint);
  }
  const until = cert.expiresAt === null ? "" : `, until ${new Date(cert.expiresAt).toISOString()}`;
  if (cert.state === "good") return fine("certificate", `it is good${until}`);
  const hint = `see how it comes along: fazt net cert show ${host}`;
  return {
    check: "certificate",
    ok: cert.state === "expired" ? false : null,
    says: cert.state,
    hint,
  };
}

function clock({ aheadMs }: Observed): Finding {
  if (aheadMs === null) {
    return { check: "clock", ok: null, says: "the authority could not be asked", hint: null };
  }
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  if (Math.abs(aheadMs) <= aheadMsMax) return fine("clock", `it is right within ${seconds} s`);
  const side = aheadMs > 0 ? "ahead of" : "behind";
  return bad("clock", `it is ${seconds} s ${side} the authority's`, "let NTP set it: timedatectl");
}
