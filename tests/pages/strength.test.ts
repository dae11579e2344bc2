// Password feedback: what is weak and what is strong, and that the wizard lets nothing pass that
// the kernel would refuse.
import { describe, expect, test } from "bun:test";
import { strength } from "../../image/os/strength.js";
import { testKernel } from "../kernel.ts";

const about = ["example.com", "ada@example.com"];

describe("strength", () => {
  test.each([
    ["", 0],
    ["short", 1],
    ["password1234", 1],
    ["P@ssw0rd2024!", 1],
    ["aaaaaaaaaaaaaaa", 1],
    ["abcdefghijklmnop", 1],
    ["qwertyuiop123", 1],
    ["1234567890123", 1],
    ["letmeinletmein", 1],
    ["example.com99", 1],
    ["abcabcabcabc", 1],
  ])("%p is not enough", (password, score) => {
    expect(strength(password, about)).toMatchObject({ score, enough: false });
  });

  test.each([
    ["gravel otter lamp seven", 4],
    ["correct horse battery staple", 4],
    ["xK9#mQ2$vL7!", 3],
    ["gravel otter lamp", 3],
  ])("%p is enough", (password, score) => {
    expect(strength(password, about)).toMatchObject({ score, enough: true });
  });

  test("says how many characters are missing", () => {
    expect(strength("abcd efgh").advice).toContain("1 more is needed");
    expect(strength("abc").advice).toContain("7 more are needed");
  });

  test("every score has words of its own", () => {
    const samples = ["", "short", "password1234", "gravel otter l", "gravel otter lamp"];
    const labels = [...samples, "gravel otter lamp seven"].map((one) => strength(one).label);
    expect(new Set(labels).size).toBe(labels.length);
  });
});

test("what the kernel refuses never passes the wizard", async () => {
  await using machine = await testKernel({ claimed: false });
  const refused = [
    "password1234",
    "P@ssw0rd2024!",
    "aaaaaaaaaaaaaaa",
    "abababababab",
    "abcdefghijklmnop",
    "qwertyuiop123",
    "1234567890123",
    "letmeinnow99",
    "example1234",
    "administrator",
    "nine char",
  ];
  for (const rootPass of refused) {
    const { enough } = strength(rootPass, about);
    const claim = { rootPass, domain: "example.com", email: "ada@example.com" };
    const code = machine.kernel.security.setupCode() ?? "";
    const taken = await machine.kernel.security.claim({ ...claim, code }, null).then(
      () => true,
      () => false,
    );
    expect({ rootPass, passesWizard: enough && !taken }).toEqual({ rootPass, passesWizard: false });
    if (taken) throw new Error(`the kernel takes "${rootPass}": not a case for this test`);
  }
});
