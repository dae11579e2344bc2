/**
 * Ten thousand connections whose bytes are bent by chance, the same each time
 * unless FAZT_SEED says where to begin. On each, what
 * is answered is what a strict reader would answer, in that order, and stops where that reader
 * stops; what the app saw is what was sent; and nobody breaks.
 */
import { expect, test } from "bun:test";
import { chances } from "../ledger.ts";
import { makeMutant } from "./mutant.ts";
import { type Request, readRequest, type Verdict } from "./reference.ts";
import { files, readSeen, type Seen, Stage, secret } from "./stage.ts";
import { type Answer, Wire } from "./wire.ts";

const connections = 10_000;
const lanes = 4;

/** The strict reader's verdicts on everything that one connection said. */
function judge(bytes: string): Verdict[] {
  const verdicts: Verdict[] = [];
  for (let at = 0; at < bytes.length; ) {
    const verdict = readRequest(bytes, at);
    verdicts.push(verdict);
    if (!("end" in verdict)) break;
    at = verdict.end;
  }
  return verdicts;
}

const pathOf = (url: string) => url.slice(url.indexOf("/", "http://".length));

/** Fails unless the app saw this request and nothing else. */
function compare(seen: Seen, request: Request): void {
  const { method, target, host, headers, body } = request;
  const means = method !== "GET" && method !== "HEAD";
  expect(seen).toMatchObject({ method, body: means ? body : "" });
  expect(host).toBe("echo.localhost");
  // Bytes that are no URL's, and an absolute target without a clear end of its host.
  if (!/[\x7f-\xff]|^https?:\/\/[^/]*[?#]/i.test(target)) {
    const path = target.replace(/^https?:\/\/[^/?#]*/i, "");
    const url = new URL(`http://echo.localhost${path}`);
    expect(pathOf(seen.url)).toBe(pathOf(url.href));
  }
  const added = /^(x-forwarded-(for|proto|host)|x-request-id)$/;
  const dense = (value: string) => value.replaceAll(" ", "");
  for (const [name, value] of seen.headers) {
    if (added.test(name)) continue;
    expect([name, dense(value)]).toEqual([name, dense(headers.get(name) ?? "nothing")]);
  }
}

/** Fails unless this is a right answer to the request. */
function check(answer: Answer, verdict: Verdict): "seen" | "other" {
  expect(answer.status === 501 || answer.status === 505 || answer.status < 500).toBe(true);
  const head = headOf(verdict);
  if (head === null || head.host === null) expect(answer.status).toBeWithin(400, 506);
  if (head === null || answer.status !== 200) return "other";
  if (answer.body.startsWith('{"method"')) {
    // Nobody waits for a body that means nothing.
    const reads = head.method === "GET" || head.method === "HEAD";
    if (!("request" in verdict) && !reads) throw new Error("the app was told a part for the whole");
    compare(readSeen(answer.body), { body: "", ...head });
    return "seen";
  }
  if (head.host === "site.localhost" && head.method === "GET") {
    expect([...Object.values(files), "the front page"]).toContain(answer.body);
  }
  return "other";
}

interface Tally {
  /** Answers of the app that came. */
  seen: number;
  /** Requests the app may have read whose answer could not come. */
  unsaid: number;
  whole: number;
  refused: number;
}

/** The method of a head that is wrong, as the kernel takes it: whether the answer has a body. */
const methodAt = (bytes: string, at: number) => (bytes.startsWith("HEAD ", at) ? "HEAD" : "GET");

const headOf = (verdict: Verdict) => ("request" in verdict ? verdict.request : verdict.head);

/** Whether the app may read this request to its end. */
const toApp = (verdict: Verdict) => (headOf(verdict)?.host === "echo.localhost" ? 1 : 0);

async function attempt(port: number, parts: readonly string[], tally: Tally): Promise<void> {
  const bytes = parts.join("");
  const verdicts = judge(bytes);
  const [first] = verdicts;
  if (first === undefined) return;
  using wire = await Wire.open(port);
  for (const part of parts) wire.say(part);
  if (first.kind === "more") wire.finish();
  let answered = 0;
  let at = 0;
  for (const verdict of verdicts) {
    const answer = await wire.answer(headOf(verdict)?.method ?? methodAt(bytes, at));
    if ("end" in verdict) at = verdict.end;
    if (answer === null) break;
    answered++;
    // A request that was whole gets the refusal of what follows it, if that comes first.
    if (check(answer, verdict) === "seen") tally.seen++;
    else tally.unsaid += toApp(verdict);
    // What follows may be the half of a request, for which nobody would answer.
    if (answered === 1) wire.finish();
    if (verdict.kind === "refused") break;
  }
  expect(wire.heard).not.toContain(secret);
  tally.unsaid += verdicts.slice(answered).reduce((sum, verdict) => sum + toApp(verdict), 0);
  if (first.kind === "whole") tally.whole++;
  else if (first.kind === "refused") tally.refused++;
  // A single valid request has an answer.
  if (verdicts.length === 1 && first.kind === "whole") expect(answered).toBe(1);
}

/** Bytes that can be read, whatever they are. */
const shown = (parts: readonly string[]) =>
  JSON.stringify(parts).replace(/[^ -~]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);

test(`${connections} connections of bent bytes: no crash, no other request, no other file`, async () => {
  const seed = Number(process.env["FAZT_SEED"] ?? 20261121);
  await using stage = await Stage.open();
  const tally: Tally = { seen: 0, unsaid: 0, whole: 0, refused: 0 };
  const lane = async (from: number) => {
    for (let n = from; n < connections; n += lanes) {
      const parts = makeMutant(chances(seed + n));
      try {
        await attempt(stage.port, parts, tally);
      } catch (error) {
        throw new Error(`FAZT_SEED=${seed + n} ${shown(parts)}`, { cause: error });
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, n) => lane(n)));
  const whole = await stage.whole();
  expect(whole).toBeWithin(tally.seen, tally.seen + tally.unsaid + 1);
  // The chances are as meant: some of each.
  expect(tally.whole).toBeGreaterThan(connections / 5);
  expect(tally.refused).toBeGreaterThan(connections / 10);
  expect(tally.unsaid).toBeLessThan(connections / 5);
  await stage.unharmed();
}, 300_000);
