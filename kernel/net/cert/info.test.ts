/** Certificates as they are listed, and when a failing renewal makes the machine unwell. */
import { expect, test } from "bun:test";
import { realMachine } from "../../machine.ts";
import { isOverdue, listCerts } from "./info.ts";
import { newOrder } from "./order.ts";
import { makeSelf } from "./self.ts";

const made = makeSelf(realMachine(), ["a.example"]);
const cert = { ...made, name: "a.example", issuer: "acme" as const };
const problem = { at: 1, text: "why" };
const order = newOrder(5);

test("those that are there, and those on their way", () => {
  const entries = [
    { name: "a.example", names: ["a.example"], order: { ...order, problem }, key: null },
    { name: "b.example", names: ["b.example"], order, key: null },
  ];
  const listed = listCerts([made, cert], entries, cert.notBefore + 1);
  expect(listed.map(({ name, state }) => `${name} ${state}`)).toEqual([
    "self-signed good",
    "a.example failing",
    "b.example coming",
  ]);
  expect(listCerts([cert], [], cert.notAfter)[0]?.state).toBe("expired");
});

test("the machine is unwell when a renewal fails and a quarter of the life is left", () => {
  const late = cert.notBefore + (cert.notAfter - cert.notBefore) * 0.76;
  expect(isOverdue(cert, { ...order, problem }, late)).toBe(true);
  expect(isOverdue(cert, { ...order, problem }, cert.notBefore + 1)).toBe(false);
  expect(isOverdue(cert, order, late)).toBe(false);
  expect(isOverdue(null, { ...order, problem }, late)).toBe(false);
});
