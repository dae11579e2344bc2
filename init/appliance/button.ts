/**
 * The power button: what a cloud's "shut down" and a finger press. Nobody logs in below fazt, so
 * there is no logind to listen to it (`struct input_event`, linux/input.h; KEY_POWER). The initrd
 * loads its driver; a press before this program listens is one that the kernel has counted.
 */
import { closeSync, constants, openSync, readdirSync, readFileSync, readSync } from "node:fs";

const eventBytes = 24;
const keyEvent = 1;
const powerKey = 116;
const lookEveryMs = 500;
/** A driver may bring the button after we have started: so often it is looked for, in looks. */
const searchEvery = 10;

/** Whether the power key was pressed in these bytes of an input device. Pure. */
export function pressed(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + eventBytes <= bytes.length; at += eventBytes) {
    const [type, code] = [view.getUint16(at + 16, true), view.getUint16(at + 18, true)];
    if (type === keyEvent && code === powerKey && view.getInt32(at + 20, true) === 1) return true;
  }
  return false;
}

/** Presses since the machine started, as ACPI counts them: `       1  EN     enabled      unmasked`. */
const counter = "/sys/firmware/acpi/interrupts/ff_pwr_btn";

/** Whether the count says that the button was pressed. Pure. */
export function counted(text: string): boolean {
  return Number.parseInt(text, 10) > 0;
}

function wasPressed(): boolean {
  try {
    return counted(readFileSync(counter, "utf8"));
  } catch {
    // No such button on this board.
    return false;
  }
}

function buttons(): number[] {
  try {
    const names = readdirSync("/sys/class/input").filter((name) => name.startsWith("event"));
    return names
      .filter((name) => /power button/i.test(nameOf(name)))
      .map((name) => openSync(`/dev/input/${name}`, constants.O_RDONLY | constants.O_NONBLOCK));
  } catch {
    // A machine without buttons, or a container.
    return [];
  }
}

function nameOf(event: string): string {
  return readFileSync(`/sys/class/input/${event}/device/name`, "utf8");
}

/** Calls `press` when the button is pressed, until `stop`. Looked at by the clock: a blocking read would hold one of few threads. */
export function listenToButton(press: () => void): () => void {
  const open: number[] = [];
  const bytes = new Uint8Array(eventBytes * 16);
  const look = (descriptor: number): boolean => {
    try {
      return pressed(bytes.subarray(0, readSync(descriptor, bytes)));
    } catch {
      // EAGAIN: nothing since the last look.
      return false;
    }
  };
  const search = (): void => {
    open.push(...buttons());
    // Who listens now hears nothing of what was before.
    if (wasPressed()) press();
  };
  search();
  let looks = 0;
  const timer = setInterval(() => {
    looks += 1;
    if (open.length === 0 && looks % searchEvery === 0) search();
    if (open.some(look)) press();
  }, lookEveryMs);
  return () => {
    clearInterval(timer);
    for (const descriptor of open.splice(0)) closeSync(descriptor);
  };
}
