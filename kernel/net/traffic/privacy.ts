/**
 * What the access log says of a client, as its owner wants it.
 *
 * Rules: nothing unless it was asked for; a hash is of this day and this process alone, so that it
 * tells visitors apart and follows nobody; a change holds from the next request on.
 */
import type { Machine } from "../../machine.ts";
import type { Storage } from "../../storage/mod.ts";
import { saltMs } from "./limits.ts";

/** `off`: nothing; `hash`: a word for a day; `network`: IPv4 /24, IPv6 /48; `full`: the address. */
export type ClientDetail = "off" | "hash" | "network" | "full";

export interface AccessSettings {
  readonly clients: ClientDetail;
  /** Whether lines are written at all; what is counted goes on. */
  readonly log: boolean;
}

export interface Privacy {
  show(): AccessSettings;
  /** ENOSPC. */
  set(
    change: { [K in keyof AccessSettings]?: AccessSettings[K] | undefined },
  ): Promise<AccessSettings>;
  /** What a line says of this address; null: nothing. */
  nameOf(address: string | null): string | null;
}

/** The network of an address, as much of it as is nobody's alone. Pure. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return `${address.split(".").slice(0, 3).join(".")}.0/24`;
  const groups = (address.split("::")[0] ?? "").split(":").filter((group) => group !== "");
  return `${groups.slice(0, 3).join(":")}::/48`;
}

export function createPrivacy(machine: Machine, storage: Storage): Privacy {
  const [row] = storage.read.all<{ clients: ClientDetail; log: number }>(
    "SELECT clients, log FROM net_access",
  );
  let settings: AccessSettings =
    row === undefined ? { clients: "off", log: true } : { ...row, log: row.log === 1 };
  let salt = machine.random(16);
  let saltedMs = machine.monotonicMs();

  const hash = (address: string): string => {
    if (machine.monotonicMs() - saltedMs > saltMs) {
      salt = machine.random(16);
      saltedMs = machine.monotonicMs();
    }
    return new Bun.CryptoHasher("sha256").update(salt).update(address).digest("hex").slice(0, 12);
  };

  return {
    show: () => settings,
    set: async ({ clients = settings.clients, log = settings.log }) => {
      await storage.write((tx) =>
        tx.run("INSERT OR REPLACE INTO net_access VALUES (1, ?, ?)", clients, log ? 1 : 0),
      );
      settings = { clients, log };
      return settings;
    },
    nameOf: (address) => {
      const { clients } = settings;
      if (clients === "off" || address === null) return null;
      if (clients === "full") return address;
      return clients === "network" ? networkOf(address) : hash(address);
    },
  };
}
