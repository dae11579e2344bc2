/**
 * What the boot loader decides by: GRUB's environment block, 1024 bytes of `name=value` lines filled
 * up with `#` (GRUB manual, "The GRUB environment block"). `image/boot/grub.cfg` says what it does
 * with it. Pure.
 *
 * Rules: the block is rewritten where it is, never replaced, for GRUB finds it by its place on the
 * disk; all variables lie in its first sector, which a disk writes whole or not at all, so that a
 * power cut leaves the old state or the new one; variables that are not ours are kept.
 */
import { SysError } from "../../errno.ts";

export type Slot = "a" | "b";

export const otherSlot = (slot: Slot): Slot => (slot === "a" ? "b" : "a");

/** What the boot loader knows of the slots. */
export interface BootState {
  /** The slot that has proved itself. */
  readonly good: Slot;
  /** The slot on trial, or null. */
  readonly try: Slot | null;
  /** Starts the trial still has. */
  readonly left: number;
  /** What the running system wrote last, to see that it can. */
  readonly canary: string;
}

/** Bytes of the block. */
const blockBytes = 1024;
const sectorBytes = 512;
const head = "# GRUB Environment Block\n";

/** The variables of a block, in their order. EIO when it is none. */
export function variablesOf(block: string): Map<string, string> {
  if (!block.startsWith(head) || block.length !== blockBytes) throw damaged("read it");
  const lines = block.split("\n").filter((line) => !line.startsWith("#") && line.includes("="));
  const pairs = lines.map((line): [string, string] => {
    const at = line.indexOf("=");
    return [line.slice(0, at), line.slice(at + 1)];
  });
  return new Map(pairs);
}

function damaged(action: string): SysError {
  return new SysError("EIO", `cannot ${action}: the boot loader's state is damaged`, {
    hint: "start the slot by hand in the boot menu, then upgrade",
  });
}

const nameForm = /^[a-z_]+$/;
const valueForm = /^[0-9A-Za-z._-]*$/;

/** A block with these variables set; others are kept. EIO when it is none, or full. */
export function withVariables(block: string, values: Readonly<Record<string, string>>): string {
  const variables = variablesOf(block);
  for (const [name, value] of Object.entries(values)) {
    if (!nameForm.test(name) || !valueForm.test(value)) throw damaged(`set "${name}"`);
    variables.set(name, value);
  }
  const text = `${head}${[...variables].map(([name, value]) => `${name}=${value}\n`).join("")}`;
  if (text.length > sectorBytes) throw damaged(`set "${Object.keys(values)[0] ?? ""}"`);
  return text.padEnd(blockBytes, "#");
}

const asSlot = (text: string | undefined): Slot | null =>
  text === "a" || text === "b" ? text : null;

/** Reads a block as the boot loader does: what is no slot is slot a, or none on trial. */
export function bootStateOf(block: string): BootState {
  const variables = variablesOf(block);
  const left = variables.get("left") ?? "";
  return {
    good: asSlot(variables.get("good")) ?? "a",
    try: asSlot(variables.get("try")),
    left: /^\d$/.test(left) ? Number(left) : 0,
    canary: variables.get("canary") ?? "",
  };
}

/** The variables that put a slot on trial. */
export const armed = (slot: Slot, tries: number): Readonly<Record<string, string>> => ({
  try: slot,
  left: String(tries),
});

/** The variables that end a trial; with a slot, that one has proved itself. */
export const ended = (good?: Slot): Readonly<Record<string, string>> => ({
  ...(good === undefined ? {} : { good }),
  try: "",
  left: "",
});
