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
  const path = join(dir, "notify");
  const child = Bun.spawn(["python3", "-c", reader, path], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const line = async () => {
      while (!text.includes("\n")) text += (await output.read()).value ?? "\n";
      const end = text.indexOf("\n");
      const said = text.slice(0, end);
      text = text.slice(end + 1);
      return said;
    };
    expect(await line()).toBe("open");
    openNotify(path).tell({ READY: "1", STATUS: "two\nlines" });
    expect(await line()).toBe("READY=1|STATUS=two lines");
  } finally {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(dir, { recursive: true });
  }
});

test("nobody there is nobody's trouble", () => {
  openNotify(undefined).tell({ READY: "1" });
  openNotify("/nonexistent/notify").tell({ READY: "1" });
  expect(socketAddress("@fazt")[2]).toBe(0);
});
