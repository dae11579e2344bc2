/**
 * First boot: finds what whoever made this machine has left for it, and applies it once. A machine
 * without any word, or with words that are wrong, comes up unclaimed: closed, with the wizard.
 *
 * Rules: a document is applied as a whole or, when anything in it is wrong, not at all; every
 * decision is a line in the log and none tells a secret; nothing here keeps a machine from booting.
 */
import type { Booted } from "../../kernel/boot.ts";
import { SysError } from "../../kernel/errno.ts";
import type { SeedNote } from "../../kernel/security/mod.ts";
import { type Document, readDocument } from "./document.ts";
import { isOpen, noRecord, stepsLeft } from "./record.ts";
import { planRestore, type RestoreOrder } from "./restore.ts";
import { realSite, sources } from "./site.ts";
import type { Found, Site, Source } from "./source.ts";
import { perform, type Word } from "./step.ts";

export interface SeedOptions {
  readonly booted: Booted;
  readonly dataDir: string;
  /** What differs from this machine's own surroundings: tests give theirs. */
  readonly site?: Partial<Site>;
  /** Shows a line to whoever stands at the console; the log has it too. */
  readonly tell?: (line: string) => void;
}

export type SeedOutcome =
  /** `source`: where from; null when there was nothing to do. */
  | { readonly kind: "done"; readonly source: string | null }
  /** Something was wrong; the machine is as far as it got. */
  | { readonly kind: "failed"; readonly problem: string }
  /** The kernel is to stop, `order.restore()` to run, and then the kernel to start again. */
  | { readonly kind: "restore"; readonly order: RestoreOrder };

/** One run: its options, its log, its record. */
class Seeding {
  readonly #options: SeedOptions;
  readonly #site: Site;
  #record: SeedNote;

  constructor(options: SeedOptions) {
    this.#options = options;
    const { machine, security } = options.booted.kernel;
    this.#site = realSite({ machine, ...options.site });
    this.#record = security.seed() ?? noRecord;
  }

  async run(): Promise<SeedOutcome> {
    const { security } = this.#options.booted.kernel;
    const claimed = security.owner() !== null;
    if (!isOpen(this.#record, claimed)) return { kind: "done", source: null };
    await this.#site.settle();
    for (const source of sources.filter((one) => one.present(this.#site))) {
      this.#say("info", `looking for configuration: ${source.name}`);
      const found = await source.read(this.#site);
      if (found !== null) return await this.#apply(source, found);
      this.#say("warn", `${source.name} holds nothing that can be read`);
    }
    this.#say("info", "no configuration for this machine: the wizard waits");
    return { kind: "done", source: null };
  }

  async #apply(source: Source, found: Found): Promise<SeedOutcome> {
    const { userData, instanceId } = found;
    const sha256 =
      userData === null ? null : new Bun.CryptoHasher("sha256").update(userData).digest("hex");
    const { source: before, instanceId: known, sha256: read } = this.#record;
    const same = sha256 === read && source.name === before && instanceId === known;
    if (!same) this.#record = { ...noRecord, source: source.name, instanceId, sha256 };
    if (same && this.#record.done) return { kind: "done", source: null };
    const document = this.#documentOf(userData);
    if (typeof document === "string") {
      // The network of the cloud is no fault of the document's.
      await this.#perform(null, found);
      return await this.#fail(document);
    }
    return await this.#perform(document, found);
  }

  /** The document; null without one; text says what is wrong with it. */
  #documentOf(userData: string | null): Document | string | null {
    if (userData === null) return null;
    const reading = readDocument(userData);
    if (reading.kind === "document") return reading.document;
    if (reading.kind === "bad") return `user-data, line ${reading.line}: ${reading.problem}`;
    this.#say("info", `user-data is passed over: ${reading.reason}`);
    return null;
  }

  async #perform(document: Document | null, found: Found): Promise<SeedOutcome> {
    const { booted, dataDir } = this.#options;
    const source = this.#record.source;
    for (const step of stepsLeft(document, this.#record)) {
      const word: Word = {
        booted,
        dataDir,
        site: this.#site,
        document,
        found,
        source: source ?? "",
      };
      try {
        if (step === "restore") return await this.#restore(word);
        const lines = await perform(step, word);
        for (const line of lines) this.#say("info", line);
      } catch (error) {
        // The next boot goes on from here.
        return await this.#fail(`cannot do "${step}": ${messageOf(error)}`);
      }
      await this.#note({ steps: [...this.#record.steps, step] });
    }
    if (document === null) return { kind: "done", source };
    await this.#note({ done: true, problem: null });
    this.#say("info", "user-data is applied");
    return { kind: "done", source };
  }

  async #restore(word: Word): Promise<SeedOutcome> {
    const order = await planRestore(word, this.#record);
    this.#say("info", `restoring an old machine from its replica: ${order.summary}`);
    return { kind: "restore", order };
  }

  async #fail(problem: string): Promise<SeedOutcome> {
    const left = this.#options.booted.kernel.security.owner() === null;
    this.#say("error", problem + (left ? "; the machine stays unclaimed" : ""));
    await this.#note({ problem, attempts: this.#record.attempts + 1 });
    return { kind: "failed", problem };
  }

  async #note(change: Partial<SeedNote>): Promise<void> {
    const { machine, security } = this.#options.booted.kernel;
    this.#record = { ...this.#record, ...change, at: machine.now() };
    await security.noteSeed(this.#record);
  }

  #say(level: "info" | "warn" | "error", line: string): void {
    const text = `first boot: ${line}`;
    const { logs } = this.#options.booted.kernel.storage;
    logs.append({ app: "kernel", appId: null, releaseId: null, level, text });
    this.#options.tell?.(text);
  }

  /** What nobody foresaw. */
  async fault(error: unknown): Promise<SeedOutcome> {
    try {
      return await this.#fail(messageOf(error));
    } catch (second) {
      return { kind: "failed", problem: messageOf(second) };
    }
  }
}

/** Other errors than ours may quote what they were given: only their kind is told. */
function messageOf(error: unknown): string {
  if (error instanceof SysError) return error.message;
  return error instanceof Error ? `internal error (${error.name})` : "internal error";
}

/** Looks for configuration and applies it. Never throws; takes minutes where a cloud is slow. */
export async function seed(options: SeedOptions): Promise<SeedOutcome> {
  const seeding = new Seeding(options);
  try {
    return await seeding.run();
  } catch (error) {
    return await seeding.fault(error);
  }
}
