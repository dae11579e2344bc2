/**
 * The `fazt` command against a kernel in a process of its own: every kind of reply, exit codes,
 * secrets, both transports, files both ways, following, and the pipes and terminals it meets.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { testRootPass } from "../kernel.ts";
import { type Ended, type KernelProcess, run, startProcess, until } from "../process.ts";

const main = fileURLToPath(new URL("../../init/main.ts", import.meta.url));
const program = [process.execPath, "--no-env-file", main];

let machine: KernelProcess;
let home: string;

beforeAll(async () => {
  machine = await startProcess();
  home = machine.scratch("home");
});
afterAll(async () => machine[Symbol.asyncDispose]());

interface Typed {
  readonly stdin?: string;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** The command as somebody else than root may have it: own home, given input. */
function fazt(args: readonly string[], { stdin, env, cwd }: Typed = {}): Promise<Ended> {
  return run([...program, ...args], {
    env: { PATH: process.env["PATH"] ?? "", HOME: home, FAZT_DATA: machine.dataDir, ...env },
    ...(stdin === undefined ? {} : { stdin }),
    ...(cwd === undefined ? {} : { cwd }),
  });
}

describe("replies", () => {
  test("a table for people, one JSON document with --json", async () => {
    const table = await fazt(["fs", "ls", "/"]);
    expect(table.stdout).toMatch(/^PATH +KIND +SIZE +MODIFIED +HASH +MODE\n\/apps +dir /);
    const json = await fazt(["fs", "ls", "/", "--json"]);
    expect((JSON.parse(json.stdout) as { path: string }[])[0]?.path).toBe("/apps");
    expect(json.stdout.endsWith("]\n")).toBe(true);
  });

  test("a page that is as long as it may be says how to go on", async () => {
    const names = async (...more: string[]) => {
      const { stdout, stderr } = await fazt(["fs", "ls", "/", ...more]);
      return [
        stdout
          .trimEnd()
          .split("\n")
          .slice(1)
          .map((line) => line.split(" ")[0]),
        stderr,
      ];
    };
    const page = [["/apps", "/data"], 'there may be more: --after "data"\n'];
    expect(await names("--limit", "2")).toEqual(page);
    expect(await names("--limit", "2", "--json")).toMatchObject([[], ""]);
    const [all] = await names();
    expect(await names("--after", "data")).toEqual([all?.slice(2) ?? "", ""]);
  });

  test("bytes are what was sent, through input, output, a file and an alias", async () => {
    const bytes = "a\0b\r\n\u00fc".repeat(100_000);
    const from = join(machine.scratch("bytes"), "in.bin");
    writeFileSync(from, bytes);
    expect((await fazt(["fs", "write", "/home/piped"], { stdin: bytes })).code).toBe(0);
    expect((await fazt(["fs", "write", "/home/sent", from])).code).toBe(0);
    expect((await fazt(["fs", "cat", "/home/piped"])).stdout).toBe(bytes);
    const to = join(machine.scratch("bytes"), "out.bin");
    expect(await fazt(["fs", "read", "/home/sent", "-o", to])).toMatchObject({
      code: 0,
      stdout: "",
    });
    expect(readFileSync(to, "utf8")).toBe(bytes);
  });

  test("a read that fails leaves no file", async () => {
    const to = join(machine.scratch("bytes"), "nothing.bin");
    expect((await fazt(["fs", "read", "/home/none", "--output", to])).code).toBe(1);
    expect(readdirSync(machine.scratch("bytes"))).not.toContain("nothing.bin");
    expect(existsSync(`${to}.part`)).toBe(false);
  });

  test("lines are NDJSON with --json", async () => {
    await fazt(["fs", "mkdir", "-p", "/home/a/b"]);
    const { stdout } = await fazt(["fs", "find", "/home/a", "--json"]);
    const paths = stdout
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { path: string }).path);
    expect(paths).toContain("/home/a/b");
  });

  test("a log is followed until the reader goes", async () => {
    const child = Bun.spawn([...program, "proc", "logs", "access", "-f", "--json"], {
      env: { HOME: home, FAZT_DATA: machine.dataDir },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const reader = child.stdout.getReader();
    let seen = "";
    const reading = (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        seen += new TextDecoder().decode(value);
      }
    })();
    await until("the request in the followed log", async () => {
      await (await machine.fetch("os", "/followed")).arrayBuffer();
      return seen.includes("/followed");
    });
    child.kill("SIGINT");
    await child.exited;
    expect(child.exitCode === 130 || child.signalCode === "SIGINT").toBe(true);
    await reading;
  });
});

describe("exit codes and errors", () => {
  test("refused: 1, with code, message and hint on standard error", async () => {
    expect(await fazt(["app", "info", "blgo"])).toEqual({
      code: 1,
      stdout: "",
      stderr: "fazt: ENOENT: no such app: blgo\nhint: fazt app ls lists them all\n",
    });
  });

  test("the same as one JSON document", async () => {
    const { code, stdout, stderr } = await fazt(["app", "info", "blgo", "--json"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: "ENOENT",
        message: "no such app: blgo",
        hint: "fazt app ls lists them all",
        call: "app.info",
      },
    });
  });

  test("usage: 2, also for the commands that init brings", async () => {
    expect((await fazt(["app", "depoly"])).code).toBe(2);
    expect(await fazt(["proc", "start", "--htp", "x"])).toMatchObject({
      code: 2,
      stderr: 'fazt: EINVAL: unknown flag "--htp"\nhint: did you mean "--http"?\n',
    });
    expect((await fazt(["proc", "init", "--domain", "localhost"])).code).toBe(2);
  });

  test("no kernel: 3, with what to do", async () => {
    const { code, stderr } = await fazt(["app", "ls", "--data", "/nonexistent/data"]);
    expect(code).toBe(3);
    expect(stderr).toContain("hint: is it running? fazt proc start");
    expect((await fazt(["app", "ls", "--host", "http://127.0.0.1:1"])).code).toBe(3);
  });

  test("no or a wrong token: 4", async () => {
    const host = machine.url("os");
    expect((await fazt(["app", "ls", "--host", host])).code).toBe(4);
    const env = { FAZT_HOST: host, FAZT_TOKEN: "fazt_wrong" };
    expect((await fazt(["app", "ls"], { env })).code).toBe(4);
  });

  test("an address that is no fazt is told as that", async () => {
    using stranger = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hi") });
    const { code, stderr } = await fazt(["app", "ls", "--host", stranger.url.origin]);
    expect(code).toBe(1);
    expect(stderr).toContain('cannot read the answer of "app.ls"');
  });

  test("a reader that goes ends it quietly", async () => {
    const command = `"$@" | head -n 1`;
    const words = [...program, "fs", "find", "/"];
    const { stdout, stderr } = await run(["bash", "-c", command, "bash", ...words], {
      env: { PATH: process.env["PATH"] ?? "", HOME: home, FAZT_DATA: machine.dataDir },
    });
    expect({ lines: stdout.split("\n").length, stderr }).toEqual({ lines: 2, stderr: "" });
  });
});

describe("what does not fit", () => {
  test("output that cannot be written is an error, not a success", async () => {
    const words = [...program, "fs", "ls", "/"];
    const { code, stderr } = await run(["bash", "-c", '"$@" > /dev/full', "bash", ...words], {
      env: { PATH: process.env["PATH"] ?? "", HOME: home, FAZT_DATA: machine.dataDir },
    });
    expect(code).toBe(1);
    expect(stderr).toBe("fazt: ENOSPC: cannot write to standard output: no space left\n");
  });

  test("an upload that is too large is told as that", async () => {
    const large = join(machine.scratch("bytes"), "large.bin");
    writeFileSync(large, "");
    truncateSync(large, 101 * 1024 * 1024);
    const { code, stderr } = await fazt(["fs", "write", "/home/large", large]);
    expect(code).toBe(1);
    expect(stderr).toStartWith("fazt: EFBIG: ");
    expect((await fazt(["fs", "stat", "/home/large"])).code).toBe(1);
  });

  test("a call that is refused does not wait for its input", async () => {
    const child = Bun.spawn([...program, "fs", "write", "/nope/x"], {
      env: { HOME: home, FAZT_DATA: machine.dataDir },
      stdio: ["pipe", "pipe", "pipe"],
    });
    expect(await child.exited).toBe(1);
    expect(await child.stderr.text()).toStartWith("fazt: ENOENT: ");
  });
});

test("bash completes from the table and from the kernel", async () => {
  const bin = machine.scratch("bin");
  writeFileSync(join(bin, "fazt"), `#!/bin/sh\nexec ${program.join(" ")} "$@"\n`, { mode: 0o755 });
  const script = `eval "$(fazt completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fazt
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const completed = async (...words: string[]) => {
    const { stdout, stderr } = await run(["bash", "-c", script, "bash", "fazt", ...words], {
      env: { PATH: `${bin}:${process.env["PATH"]}`, HOME: home, FAZT_DATA: machine.dataDir },
    });
    expect(stderr).toBe("");
    return stdout.trim().split("\n");
  };
  expect(await completed("app", "rel")).toEqual(["releases"]);
  expect(await completed("proc", "logs", "x", "--level", "")).toContain("warn");
  expect(await completed("fs", "ls", "/ho")).toEqual(["/home/"]);
  expect(await completed("app", "deploy", `${bin}/fa`)).toEqual([`${bin}/fazt`]);
});

describe("secrets", () => {
  test("from a file, from standard input, never from the line", async () => {
    const file = join(machine.scratch("secrets"), "pass");
    writeFileSync(file, "kettle moss violin nine\n");
    const add = ["security", "user", "add"];
    const rights = ["--capabilities", "app:read"];
    expect((await fazt([...add, "ada", ...rights, "--password-file", file])).code).toBe(0);
    expect(
      (await fazt([...add, "bob", ...rights], { stdin: "other moss violin nine\n" })).code,
    ).toBe(0);
    const typed = await fazt([...add, "eve", ...rights, "--password", "kettle moss violin nine"]);
    expect(typed.code).toBe(2);
    const users = await machine.faztJson<{ name: string }[]>("security", "user", "ls");
    expect(users.map(({ name }) => name).sort()).toEqual(["ada", "bob", "root"]);
    const login = ["security", "login", machine.url("os"), "--user", "ada"];
    const refused = await fazt(login, { stdin: "kettle moss violin nine" });
    expect(refused.code).toBe(4);
    expect(refused.stderr).toContain('lacks the capability "security:write"');
  });

  test("a file that is not there is named", async () => {
    const { code, stderr } = await fazt(["security", "root-pass", "--password-file", "/none"]);
    expect(code).toBe(1);
    expect(stderr).toBe('fazt: ENOENT: cannot read "/none": no such file or directory\n');
  });
});

describe("another machine", () => {
  test("login keeps a token for --host, logout ends it", async () => {
    const host = `localhost:${machine.port}`;
    const login = await fazt(["security", "login", machine.url("os"), "--json"], {
      stdin: testRootPass,
    });
    expect(login.stderr).toBe("");
    const { tokenId } = JSON.parse(login.stdout) as { tokenId: string };
    const kept = join(home, ".config/fazt/hosts.json");
    expect(statSync(kept).mode & 0o777).toBe(0o600);
    expect(readFileSync(kept, "utf8")).not.toContain(testRootPass);

    const who = await fazt(["--host", host, "security", "whoami", "--json"]);
    expect(JSON.parse(who.stdout)).toMatchObject({ kind: "owner", via: "token" });
    const sent = await fazt(["fs", "write", "/home/remote", "--host", host], {
      stdin: "over http",
    });
    expect(sent.code).toBe(0);
    expect((await fazt(["fs", "cat", "/home/remote"])).stdout).toBe("over http");

    expect((await fazt(["security", "logout"])).code).toBe(0);
    const tokens = await machine.faztJson<{ id: string }[]>("security", "token", "ls");
    expect(tokens.map(({ id }) => id)).not.toContain(tokenId);
    expect((await fazt(["app", "ls", "--host", host])).code).toBe(4);
  });

  test("a wrong password makes no token", async () => {
    const { code, stderr } = await fazt(["security", "login", machine.url("os")], {
      stdin: "not the password",
    });
    expect(code).toBe(4);
    expect(stderr).toStartWith("fazt: EKEYREJECTED: ");
  });

  test("logging out of a machine that was never logged in to", async () => {
    expect((await fazt(["security", "logout", "example.com"])).code).toBe(1);
    expect((await fazt(["security", "logout"])).code).toBe(2);
  });
});

describe("fs cp", () => {
  test("a folder there and back is the same folder", async () => {
    const from = machine.scratch("tree");
    mkdirSync(join(from, "deep/er"), { recursive: true });
    writeFileSync(join(from, "a.txt"), "a");
    writeFileSync(join(from, "deep/er/big.bin"), new Uint8Array(3_000_000).fill(7));
    const sent = await fazt(["fs", "cp", from, "vfs:/home/tree", "--json"]);
    expect(JSON.parse(sent.stdout)).toMatchObject({ files: 2, sizeBytes: 3_000_001 });
    const back = join(machine.scratch("back"), "tree");
    expect((await fazt(["fs", "cp", "vfs:/home/tree", back])).code).toBe(0);
    const same = await run(["diff", "-r", from, back]);
    expect(same).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("a file goes into a folder that is there", async () => {
    const file = join(machine.scratch("tree"), "a.txt");
    await fazt(["fs", "mkdir", "/home/into"]);
    expect((await fazt(["fs", "cp", file, "vfs:/home/into"])).code).toBe(0);
    expect((await fazt(["fs", "cat", "/home/into/a.txt"])).stdout).toBe("a");
    expect((await fazt(["fs", "cp", "vfs:/home/into/a.txt", "."], { cwd: home })).code).toBe(0);
    expect(readFileSync(join(home, "a.txt"), "utf8")).toBe("a");
  });

  test("within the tree, and when nothing says which side is which", async () => {
    expect((await fazt(["fs", "cp", "/home/into", "vfs:/home/copy"])).code).toBe(1);
    expect((await fazt(["fs", "cp", "vfs:/home/into", "vfs:/home/copy"])).code).toBe(0);
    expect((await fazt(["fs", "cat", "/home/copy/a.txt"])).stdout).toBe("a");
    expect((await fazt(["fs", "cp", "a", "b"])).code).toBe(2);
    expect((await fazt(["fs", "cp", "vfs:/home/none", "."])).code).toBe(1);
  });
});

describe("app", () => {
  test("create, deploy, look, ask: a newcomer's first minute", async () => {
    const dir = join(machine.scratch("apps"), "hello");
    const made = await fazt(["app", "create", dir, "--template", "api"]);
    expect(made.stdout).toContain(`fazt app deploy ${dir}`);
    expect(readFileSync(join(dir, "fazt.d.ts"), "utf8")).toContain('declare module "fazt"');
    const deployed = await fazt(["app", "deploy", dir, "--json"]);
    expect(deployed.stderr).toBe("");
    const reply = JSON.parse(deployed.stdout) as Record<string, unknown>;
    expect(Object.keys(reply).sort()).toEqual(
      ["app", "files", "id", "ms", "release", "uploadedBytes", "url"].sort(),
    );
    expect((await fazt(["app", "ls"])).stdout).toMatch(/^NAME .*\nhello /);
    expect((await machine.fetch("hello", "/")).status).toBe(200);
    const names = await fazt(["__complete", "--", "app", "info", "he"]);
    expect(names.stdout).toMatch(/^hello\t/);
    expect((await fazt(["app", "create", dir])).code).toBe(1);
  });
});

describe("proc", () => {
  test("init claims a running machine through its socket, without a code", async () => {
    await using other = await startProcess({ claimed: false });
    const init = ["proc", "init", "--domain", "localhost", "--email", "me@example.com", "--json"];
    const short = await run([...program, ...init, "--data", other.dataDir], { stdin: "short" });
    expect(short.code).toBe(1);
    const done = await run([...program, ...init, "--data", other.dataDir], { stdin: testRootPass });
    expect(done).toMatchObject({ code: 0, stderr: "" });
    const health = await other.fetch("os", "/sys/health");
    expect(await health.json()).toMatchObject({ mode: "normal" });
    const again = await run([...program, ...init, "--data", other.dataDir], {
      stdin: testRootPass,
    });
    expect(again.code).toBe(1);
    expect(JSON.parse(again.stderr)).toMatchObject({ error: { code: "EEXIST" } });
  });

  test.skipIf(existsSync("/run/systemd/system"))(
    "install refuses where systemd is not",
    async () => {
      const { code, stderr } = await fazt(["proc", "install"]);
      expect(code).toBe(1);
      expect(stderr).toContain("systemd does not run this machine");
    },
  );
});

describe("shell", () => {
  test("lines of a script, one after another; the first failure is its exit code", async () => {
    const lines = ["# a comment", "fs mkdir '/home/a b'", "fazt fs stat '/home/a b' --json"];
    const stdin = [...lines, "app info none", "app nonsense", "exit", "app ls"].join("\n");
    const { code, stdout, stderr } = await fazt(["shell", "--json"], { stdin });
    expect(code).toBe(1);
    const [made, found] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect([made, found]).toMatchObject([{ path: "/home/a b" }, { path: "/home/a b" }]);
    expect(stdout.trim().split("\n")).toHaveLength(2);
    expect(stderr.trim().split("\n")).toHaveLength(2);
  });

  test("on a terminal: completes, runs, is interrupted, remembers, asks unseen", async () => {
    let screen = "";
    const state = machine.scratch("state");
    const child = Bun.spawn([...program, "shell"], {
      env: {
        HOME: home,
        XDG_STATE_HOME: state,
        FAZT_DATA: machine.dataDir,
        TERM: "xterm",
        NO_COLOR: "1",
      },
      terminal: {
        cols: 100,
        rows: 30,
        data: (_, data) => (screen += new TextDecoder().decode(data)),
      },
    });
    const atPrompt = () => Bun.stripANSI(screen).endsWith("fazt> ");
    const type = async (keys: string, shown: string) => {
      const from = screen.length;
      child.terminal?.write(keys);
      await until(`"${shown}" after ${JSON.stringify(keys)}`, () =>
        screen.slice(from).includes(shown),
      );
    };
    await until("the prompt", () => screen.includes("fazt> "));
    await type("secu\t", "security ");
    await type("who\t", "whoami ");
    await type("\r", "owner");
    await until("the next prompt", () => atPrompt());
    await type("proc logs access -f\r", "\n");
    await type("\x03", "fazt> ");
    await type("security user add zoe --capabilities app:read\r", "password: ");
    await type("kettle moss violin nine\r", "once more: ");
    await type("kettle moss violin nine\r", "zoe");
    await until("the prompt after it", () => atPrompt());
    await type("security root-pass\r", "password: ");
    await type("\x03", "fazt> ");
    await type("\x1b[A", "root-pass");
    await type("\x03", "fazt> ");
    child.terminal?.write("\x04");
    expect(await child.exited).toBe(0);
    expect(screen).not.toContain("violin");
    const history = join(state, "fazt/history");
    expect(statSync(history).mode & 0o777).toBe(0o600);
    expect(readFileSync(history, "utf8")).toBe(
      "security whoami \nproc logs access -f\nsecurity user add zoe --capabilities app:read\n" +
        "security root-pass\n",
    );
  });
});
