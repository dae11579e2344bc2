// Domains and addresses as the wizard judges, suggests and shows them.
import { expect, test } from "bun:test";
import {
  domainProblem,
  emailProblem,
  isLocal,
  suggestedDomain,
  tidyDomain,
  urlBelow,
} from "../../image/os/place.js";

test("a domain is taken out of what people paste", () => {
  expect(tidyDomain(" https://Example.com/path?x#y ")).toBe("example.com");
  expect(tidyDomain("example.com:8080")).toBe("example.com");
  expect(tidyDomain("example.com.")).toBe("example.com");
  expect(tidyDomain("bücher.example")).toBe("xn--bcher-kva.example");
});

test.each(["example.com", "localhost", "a-b.c1.example", "home.lan"])("%p is a domain", (name) => {
  expect(domainProblem(name)).toBeNull();
});

test.each([
  ["", "Type a domain"],
  ["example", "has a dot"],
  ["192.168.1.5", "address"],
  ["-a.example", "letters, digits"],
  ["a b.example", "letters, digits"],
  [`${"a".repeat(64)}.example`, "letters, digits"],
])("%p is none", (name, words) => {
  expect(domainProblem(name)).toContain(words);
});

test("mail addresses", () => {
  expect(emailProblem(" me@example.com ")).toBeNull();
  expect(emailProblem("")).toContain("Type");
  for (const wrong of ["me", "me@", "@example.com", "me@example", "a b@example.com"]) {
    expect(emailProblem(wrong)).toContain("does not look like");
  }
});

test("what is suggested: what was told, else the name in the address bar, else localhost", () => {
  expect(suggestedDomain("home.example", "127.0.0.1")).toBe("home.example");
  expect(suggestedDomain("", "os.example.com")).toBe("example.com");
  expect(suggestedDomain("", "example.com")).toBe("example.com");
  for (const host of ["127.0.0.1", "192.168.1.5", "[::1]", "localhost", "nas"]) {
    expect(suggestedDomain("", host)).toBe("localhost");
  }
});

test("URLs keep the scheme and the port of the page", () => {
  expect(urlBelow({ protocol: "http:", port: "8080" }, "os", "localhost")).toBe(
    "http://os.localhost:8080",
  );
  expect(urlBelow({ protocol: "https:", port: "" }, "blog", "a.example")).toBe(
    "https://blog.a.example",
  );
});

test("what is this very computer", () => {
  for (const host of ["localhost", "os.localhost", "127.0.0.1", "[::1]"]) {
    expect(isLocal(host)).toBe(true);
  }
  for (const host of ["192.168.1.5", "example.com", "localhost.example"]) {
    expect(isLocal(host)).toBe(false);
  }
});
