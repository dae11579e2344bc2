/**
 * The network of an appliance without one: files go into a directory of the test's own, commands
 * are written down, and may be made to fail.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realMachine } from "../kernel/machine.ts";
import { applianceNetwork, type NetworkHost } from "../kernel/net/iface/mod.ts";

export interface TestNetwork extends Disposable {
  readonly host: NetworkHost;
  /** Command lines in their order. */
  readonly commands: string[];
  /** What `nft` was last given. */
  ruleset(): string;
  /** The name the machine was given; null: none. */
  hostname(): string | null;
  /** The text of a file below the root. */
  read(path: string): string;
  /** Names in a directory below the root. */
  ls(path: string): string[];
  /** Makes commands that hold this word fail from now on; null: none. */
  refuse(word: string | null): void;
}

/** One of which nothing has been said. */
export function testNetwork(): TestNetwork {
  const root = mkdtempSync(join(tmpdir(), "fazt-network-"));
  const commands: string[] = [];
  let ruleset = "";
  let name: string | null = null;
  let refused: string | null = null;
  const run = async (command: readonly string[], input: string) => {
    const line = command.join(" ");
    commands.push(line);
    if (line.startsWith("nft")) ruleset = input;
    if (refused !== null && line.includes(refused)) throw new Error(`refused: ${line}`);
  };
  const rename = (hostname: string) => {
    name = hostname;
  };
  return {
    host: applianceNetwork({ machine: realMachine(), root, run, rename }),
    commands,
    ruleset: () => ruleset,
    hostname: () => name,
    read: (path) => readFileSync(join(root, path), "utf8"),
    ls: (path) => (existsSync(join(root, path)) ? readdirSync(join(root, path)).sort() : []),
    refuse: (word) => {
      refused = word;
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}
