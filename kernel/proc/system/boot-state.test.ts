/** The boot loader's state: read as it reads it, changed so that a power cut leaves old or new. */
import { expect, test } from "bun:test";
import { armed, bootStateOf, ended, variablesOf, withVariables } from "./boot-state.ts";

const block = (text: string) => `# GRUB Environment Block\n${text}`.padEnd(1024, "#");

test("reads what it knows, and what is no slot as slot a", () => {
  expect(bootStateOf(block("good=b\ntry=a\nleft=2\ncanary=x1\n"))).toEqual({
    good: "b",
    try: "a",
    left: 2,
    canary: "x1",
  });
  const odd = bootStateOf(block("good=c\ntry=\nleft=many\n"));
  expect(odd).toEqual({ good: "a", try: null, left: 0, canary: "" });
});

test("sets in place and keeps what is not ours", () => {
  const before = block("good=a\nchart=1\nmine=kept\n");
  const after = withVariables(before, armed("b", 2));
  expect(after).toHaveLength(1024);
  expect(bootStateOf(after)).toMatchObject({ good: "a", try: "b", left: 2 });
  expect(variablesOf(after).get("mine")).toBe("kept");
  const done = withVariables(after, ended("b"));
  expect(bootStateOf(done)).toMatchObject({ good: "b", try: null, left: 0 });
  expect(withVariables(done, ended("b"))).toBe(done);
});

test("all variables lie in the first sector; what does not fit or is no block is refused", () => {
  const full = block(`mine=${"x".repeat(470)}\n`);
  expect(() => withVariables(full, { canary: "0123456789abcdef0123456789abcdef" })).toThrow(
    "damaged",
  );
  expect(withVariables(full, { canary: "1" }).slice(512)).toBe("#".repeat(512));
  for (const other of ["", block("").slice(1), `${block("")}#`]) {
    expect(() => withVariables(other, { canary: "1" })).toThrow("damaged");
  }
  expect(() => withVariables(block(""), { canary: "a\ngood=b" })).toThrow("damaged");
});
