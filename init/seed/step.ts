/**
 * The steps of a document, each done once: what it does to the machine, through the kernel's own
 * domains and calls, and the lines it leaves in the log. Doing one again does no harm.
 */
import type { Booted } from "../../kernel/boot.ts";
import { localOwner } from "../../kernel/caller.ts";
import { SysError } from "../../kernel/errno.ts";
import { Hostname, linkNames, Network } from "../../kernel/net/iface/mod.ts";
import { fetchCartridge } from "./cartridge.ts";
import type { Document } from "./document.ts";
import { networkOf } from "./network.ts";
import type { Step } from "./record.ts";
import type { Found, Site } from "./source.ts";

/** What a step works with. */
export interface Word {
  readonly booted: Booted;
  readonly dataDir: string;
  readonly site: Site;
  readonly document: Document | null;
  readonly found: Found;
  /** Name of the source. */
  readonly source: string;
}

/** The machine's network from document and cloud; null when neither says anything. */
export function networkFor({ document, found }: Word): {
  readonly network: Network | null;
  readonly problems: readonly string[];
} {
  const told = networkOf(found.network ?? { links: [] }, linkNames());
  const asked = document?.network ?? told.network;
  const hostname = [document?.hostname, document?.network?.hostname, found.hostname].find(
    (name) => Hostname.safeParse(name).success,
  );
  const problems = document?.network === undefined ? told.problems : [];
  if (asked === null && hostname === undefined) return { network: null, problems };
  const base = asked ?? Network.parse({});
  return { network: { ...base, hostname: hostname ?? base.hostname }, problems };
}

async function network(word: Word): Promise<string[]> {
  const { iface } = word.booted.kernel;
  const { network: wanted, problems } = networkFor(word);
  const lines = problems.map((problem) => `network: passed over: ${problem}`);
  if (wanted === null) return [...lines, "network: automatic"];
  try {
    await iface.provision(wanted);
  } catch (error) {
    // It is kept, and applied again at the next boot: no reason to leave the machine unclaimed.
    if (!(error instanceof SysError && error.code === "EIO")) throw error;
    return [...lines, `network: ${error.message}`];
  }
  const names = wanted.links.map(({ name, mac, ipv4, ipv6 }) => `${name ?? mac} ${ipv4}/${ipv6}`);
  const shown = [wanted.hostname ?? [], names].flat().join(", ");
  return [...lines, `network: ${shown}${iface.owned ? "" : " (kept; the host owns it)"}`];
}

/** Records a change that no call made. */
async function audit({ booted, source }: Word, call: string, event: string): Promise<void> {
  await booted.kernel.security.audit.add({
    call,
    outcome: "ok",
    code: null,
    callerKind: "owner",
    via: "boot",
    userId: "root",
    appId: null,
    address: null,
    subject: JSON.stringify({ event, source }),
  });
}

async function claim(word: Word): Promise<string[]> {
  const wanted = word.document?.claim;
  if (wanted === undefined) return [];
  const { security } = word.booted.kernel;
  if (security.owner() !== null) return ["claim: the machine has an owner already"];
  const { passwordHash: rootPassHash, domain, email } = wanted;
  await security.claimLocally({ rootPassHash, domain, email });
  await audit(word, "security.claim", "claimed by user-data");
  return [`claimed as ${security.owner()?.domain}`];
}

async function code(word: Word): Promise<string[]> {
  const hash = word.document?.setupCodeHash;
  if (hash === undefined || word.booted.kernel.security.owner() !== null) return [];
  await word.booted.kernel.security.bringCode(hash);
  await audit(word, "security.claim", "setup code by user-data");
  return ["a setup code of the maker's is taken beside the one the console shows"];
}

async function replica({ booted, document }: Word): Promise<string[]> {
  const { url, ...rest } = document?.replica ?? { url: "" };
  const caller = localOwner("boot");
  await booted.dispatcher.dispatch({ caller, call: "driver.replica.set", input: { url, ...rest } });
  return [`replicating to ${url}`];
}

async function app(word: Word, index: number): Promise<string[]> {
  const wanted = word.document?.apps[index];
  if (wanted === undefined) return [];
  await using file = await fetchCartridge(wanted, word);
  const reply = await word.booted.dispatcher.dispatch({
    caller: localOwner("boot"),
    call: "app.import",
    input: { mode: "skip", ...(wanted.name !== undefined && { name: wanted.name }) },
    body: file.stream(),
  });
  if (reply.kind !== "json") throw new SysError("EIO", "cannot import: no reply");
  const { app: name, imported } = reply.value as { app: string; imported: boolean };
  return [imported ? `app "${name}" is restored` : `app "${name}" is there already`];
}

/** Does one step; answers what to log. Any errno of its domain. */
export async function perform(step: Exclude<Step, "restore">, word: Word): Promise<string[]> {
  switch (step) {
    case "network":
      return await network(word);
    case "claim":
      return await claim(word);
    case "code":
      return await code(word);
    case "replica":
      return await replica(word);
    default:
      return await app(word, Number(step.slice("app:".length)));
  }
}
