/** Mirrors as apt tells them. */
import { expect, test } from "bun:test";
import { mirrorOf, sourcesOf } from "./mirror.ts";

test("takes the mirror and its security archive from apt's lines", () => {
  const lines = [
    "Debian Debian-Security http://mirror.example/security/",
    "Debian Debian http://mirror.example/debian/",
    "Other Debian http://elsewhere.example/",
    "",
  ];
  expect(mirrorOf(lines)).toEqual({
    distribution: "debian",
    main: "http://mirror.example/debian/",
    security: "http://mirror.example/security/",
  });
});

test("an archive without a security part of its own has both in one", () => {
  const mirror = mirrorOf(["Ubuntu Ubuntu http://mirror.example/ubuntu/"]);
  expect(mirror?.security).toBe("http://mirror.example/ubuntu/");
  expect(mirrorOf(["Other Other http://mirror.example/"])).toBeNull();
});

test("writes sources of the wanted release", () => {
  const main = "http://mirror.example/debian/";
  const text = sourcesOf({ distribution: "debian", main, security: main }, "trixie");
  expect(text).toContain("Suites: trixie trixie-updates\n");
  expect(text).toContain("Suites: trixie-security\n");
  expect(text).toContain("Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg");
});
