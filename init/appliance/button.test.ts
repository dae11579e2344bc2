/** The power key among the events of an input device. */
import { expect, test } from "bun:test";
import { counted, pressed } from "./button.ts";

function event(type: number, code: number, value: number): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint16(16, type, true);
  view.setUint16(18, code, true);
  view.setInt32(20, value, true);
  return bytes;
}

test("hears the power key go down, and nothing else", () => {
  const other = event(1, 30, 1);
  const sync = event(0, 0, 0);
  expect(pressed(Uint8Array.from([...other, ...sync, ...event(1, 116, 1), ...sync]))).toBe(true);
  expect(pressed(Uint8Array.from([...other, ...event(1, 116, 0)]))).toBe(false);
  expect(pressed(event(1, 116, 1).subarray(0, 20))).toBe(false);
});

test("knows a press of before by the kernel's count", () => {
  expect(counted("       1  EN     enabled      unmasked\n")).toBe(true);
  expect(counted("       0  EN     enabled      unmasked\n")).toBe(false);
  expect(counted("")).toBe(false);
});
