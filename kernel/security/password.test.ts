/** Tests of passwords: what is too weak, and that hashing is bounded and the same for nobody. */
import { expect, spyOn, test } from "bun:test";
import { refusal } from "./fixture.ts";
import { argonRunningMax, argonWaitingMax } from "./limits.ts";
import { createPasswords, passwordProblem } from "./password.ts";

test.each([
  ["short", "too short"],
  ["ninechars", "too short"],
  ["x".repeat(1025), "too long"],
  ["gravel\0otter lamp", "NUL"],
  ["aaaaaaaaaaaa", "repeats"],
  ["121212121212", "repeats"],
  ["abcdefghijkl", "sequence"],
  ["1234567890", "sequence"],
  ["9876543210", "sequence"],
  ["qwertyuiop", "sequence"],
  ["poiuytrewq12", "sequence"],
  ["P@ssw0rd2024!", "common"],
  ["Password12", "common"],
  ["letmein12345", "common"],
  ["example2024", "example"],
  ["example.com1", "example"],
  ["ada-lovelace", "lovelace"],
])("%p is refused: %p", (password, why) => {
  const about = ["example.com", "ada.lovelace@example.com"];
  expect(passwordProblem(password, about)).toContain(why);
});

test.each([
  "gravel otter lamp seven",
  "Tr4nsatlantik-7",
  "kqv9x2mzpw",
  "żółw idzie do domu",
  "👍🐢🚀🍋🎹🧲🪐🧊🎲🥁",
])("%p will do", (password) => {
  expect(passwordProblem(password, ["example.com", "me@example.com"])).toBeNull();
});

test("a long password may hold the machine's name", () => {
  expect(passwordProblem("the example of a long sentence", ["example.com"])).toBeNull();
});

test("a hash is argon2id, proves its password alone, however it is composed", async () => {
  const passwords = createPasswords();
  const hash = await passwords.hash("cafe\u0301 gravel otter");
  expect(hash).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
  expect(await passwords.verify("caf\u00e9 gravel otter", hash)).toBe(true);
  expect(await passwords.verify("cafe gravel otter", hash)).toBe(false);
});

test("no account costs the work of an account: one verification, same parameters", async () => {
  const passwords = createPasswords();
  const hash = await passwords.hash("gravel otter lamp");
  const verify = spyOn(Bun.password, "verify");
  verify.mockClear();
  expect(await passwords.verify("anything at all", null)).toBe(false);
  expect(await passwords.verify("", null)).toBe(false);
  await passwords.verify("anything at all", hash);
  const parameters = verify.mock.calls.map((call) => String(call[1]).split("$").slice(0, 4));
  verify.mockRestore();
  expect(parameters).toHaveLength(3);
  expect(new Set(parameters.map((part) => part.join("$"))).size).toBe(1);
});

test("a flood is sent away, and those let in are answered", async () => {
  const passwords = createPasswords();
  const flood = argonRunningMax + argonWaitingMax + 3;
  const answers = await Promise.all(
    Array.from({ length: flood }, () => refusal(() => passwords.verify("x", null))),
  );
  expect(answers.filter((code) => code === "EAGAIN")).toHaveLength(3);
  expect(answers.filter((code) => code === null)).toHaveLength(flood - 3);
  expect(await passwords.verify("x", null)).toBe(false);
});
