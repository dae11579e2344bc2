/** Where the fetch of a cartridge may be led to. */
import { expect, test } from "bun:test";
import { SysError } from "../../kernel/errno.ts";
import { leadsTo } from "./cartridge.ts";

function led(url: string, to: { location: string; sha256?: string }): string {
  try {
    return leadsTo({ url, sha256: to.sha256 }, to.location).href;
  } catch (error) {
    return error instanceof SysError ? error.code : String(error);
  }
}

const sha256 = "a".repeat(64);

test.each([
  ["https://a.example/x", { location: "/y" }, "https://a.example/y"],
  ["https://a.example/x", { location: "https://b.example/y" }, "https://b.example/y"],
  ["https://a.example/x", { location: "http://a.example/x" }, "EIO"],
  ["https://a.example/x", { location: "http://a.example/x", sha256 }, "http://a.example/x"],
  ["http://a.example/x", { location: "/y", sha256 }, "http://a.example/y"],
  ["http://a.example/x", { location: "file:///etc/shadow", sha256 }, "EIO"],
  ["https://a.example/x", { location: "http://", sha256 }, "EIO"],
])("%s, %p: %s", (url, to, expected) => {
  expect(led(url, to)).toBe(expected);
});
