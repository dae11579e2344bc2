// A refused claim is told at the step it is about; the refusals are the kernel's own.
import { expect, test } from "bun:test";
import { whereItBelongs } from "../../image/os/refusal.js";
import { errnos, SysError } from "../../kernel/errno.ts";
import { testKernel } from "../kernel.ts";

const right = { rootPass: "gravel otter lamp seven", domain: "localhost", email: "me@example.com" };

const refusalOf = ({ code, message, hint, retryAfterMs }: SysError) => ({
  code,
  message,
  hint,
  status: errnos[code].status,
  retryAfterS: retryAfterMs === null ? null : Math.ceil(retryAfterMs / 1000),
});

test.each([
  [{ code: "AAAA-AAAA-AAAA" }, "code", "4 tries left"],
  [{ rootPass: "password1234" }, "password", "common password"],
  [{ domain: "nodots" }, "domain", "not a DNS name"],
  [{ email: "nobody" }, "email", "not an address"],
])("%p belongs to the step %p", async (wrong, step, words) => {
  await using machine = await testKernel({ claimed: false });
  const code = machine.kernel.security.setupCode() ?? "";
  const claim = { code, ...right, ...wrong };
  const error = await machine.kernel.security.claim(claim, "192.0.2.1").catch((one) => one);
  expect(error).toBeInstanceOf(SysError);
  const { step: at, text } = whereItBelongs(refusalOf(error as SysError));
  expect(at).toBe(step as typeof at);
  expect(text).toContain(words);
});

test("too many wrong codes say that there is a new one and how long to wait", () => {
  const error = new SysError("EAGAIN", "too many wrong setup codes", { retryAfterMs: 4000 });
  const { step, text } = whereItBelongs(refusalOf(error));
  expect(step).toBe("code");
  expect(text).toContain("a new code");
  expect(text).toContain("4 s");
});

test.each([
  ["EEXIST", 409, "has an owner already"],
  ["EIO", 421, "has an owner already"],
  ["ENOSPC", 507, "Disk full. Please make room."],
])("%s with status %p stays at the review", (code, status, words) => {
  const error = { code, message: "disk full", hint: "make room", status, retryAfterS: null };
  expect(whereItBelongs(error)).toEqual({ step: "review", text: expect.stringContaining(words) });
});
