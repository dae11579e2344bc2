/**
 * The contract of a source of first-boot configuration: a place where whoever made this machine may
 * have left words for it. Each implementation is a sibling file and runs the one conformance suite.
 *
 * Guarantees: `present` asks nothing of the network and changes nothing; only a source that is
 * present is read; `read` takes a bounded time and answers what it found, as it was written.
 */
import type { Machine } from "../../kernel/machine.ts";
import type { Dmi } from "./dmi.ts";
import type { NetworkWords } from "./network.ts";

/** What the sources look at; a test gives its own. */
export interface Site {
  readonly machine: Machine;
  /** What the firmware says of the machine. */
  readonly dmi: Dmi;
  /** Where systemd leaves the credentials it was given. */
  readonly credentialsDir: string;
  /** Waits, bounded, until the devices there are have their names. */
  settle(): Promise<void>;
  /** Whether there is a volume with one of these labels. */
  hasVolume(labels: readonly string[]): boolean;
  /** Mounts it read-only; null when there is none. EIO. */
  volume(labels: readonly string[]): Promise<Volume | null>;
  /** Origin of the cloud's metadata service. */
  readonly metadataUrl: string;
  /** How long a metadata service may take to be reachable, in milliseconds. */
  readonly patienceMs: number;
  /** Milliseconds between two tries meanwhile. */
  readonly retryMs: number;
}

/** A mounted volume. */
export interface Volume {
  /** The text of a file, null when it is not there. EFBIG, EIO. */
  read(path: string): string | null;
  close(): Promise<void>;
}

/** What a source holds. */
export interface Found {
  /** The cloud's name of this machine; null when it has none. */
  readonly instanceId: string | null;
  readonly hostname: string | null;
  /** As it was written; null when there is none. */
  readonly userData: string | null;
  /** What differs from the automatic network; null: nothing. */
  readonly network: NetworkWords | null;
}

export interface Source {
  /** What people call it. */
  readonly name: string;
  /** Whether this machine has it, as far as can be told without asking anybody. */
  present(site: Site): boolean;
  /** Reads it; null when nothing is there after all. ETIMEDOUT, EIO, EBADMSG, EFBIG. */
  read(site: Site): Promise<Found | null>;
}
