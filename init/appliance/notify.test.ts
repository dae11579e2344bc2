/** What reaches a service manager's socket, as a reader that is not ours receives it. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openNotify, socketAddress } from "./notify.ts";

const reader = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("open", flush=True)
print(s.recv(4096).decode().replace("\\n", "|"))
`;

test("a datagram of lines arrives, a value stays on its line", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fazt-notify-"));
  try {
    const path = join(dir, "notify");
    const child = Bun.spawn(["python3", "-c", reader, path], { stdout: "pipe" });
    const output = child.stdout.getReader();
    const next = async () => new TextDecoder().decode((await output.read()).value);
    expect(await next()).toBe("open\n");
    openNotify(path).tell({ READY: "1", STATUS: "two\nlines" });
    expect(await next()).toBe("READY=1|STATUS=two lines\n");
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("nobody there is nobody's trouble", () => {
  openNotify(undefined).tell({ READY: "1" });
  openNotify("/nonexistent/notify").tell({ READY: "1" });
  expect(socketAddress("@fazt")[2]).toBe(0);
});
