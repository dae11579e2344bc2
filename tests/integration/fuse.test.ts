/**
 * `fazt fs mount --host DIR` against a kernel in a process of its own, with the tools that people have:
 * what they see, what they are refused, and what happens when one of the two sides goes away.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mayMount } from "../disk.ts";
import { noise } from "../fs.ts";
import { type Ended, type KernelProcess, program, run, startProcess } from "../process.ts";

const hasFuse = (() => {
  try {
    closeSync(openSync("/dev/fuse", "r+"));
    return mayMount;
  } catch {
    return false;
  }
})();
const why = hasFuse ? "" : " (skipped: no /dev/fuse, or no right to mount)";

type Exporter = Bun.Subprocess<"ignore", "pipe", "pipe">;

const isMounted = (directory: string) =>
  readFileSync("/proc/self/mounts", "utf8").includes(` ${directory} fuse.fazt `);

describe.skipIf(!hasFuse)(`the tree on this computer${why}`, () => {
  let machine: KernelProcess;
  let at: string;
  let exporter: Exporter | null = null;

  beforeAll(async () => {
    machine = await startProcess();
    at = mkdtempSync(join(tmpdir(), "fazt-fuse-"));
  });
  afterEach(async () => {
    await detach("SIGTERM");
    if (isMounted(at)) Bun.spawnSync(["umount", "--lazy", at]);
  });
  afterAll(async () => {
    rmSync(at, { recursive: true, force: true });
    await machine[Symbol.asyncDispose]();
  });

  /** Starts it and waits until it says that it is there. */
  async function attach(): Promise<void> {
    const child = machine.spawnFazt("fs", "mount", "--host", at, "--json");
    exporter = child;
    const first = await child.stdout.getReader().read();
    if (first.value === undefined) throw new Error(await child.stderr.text());
    expect(JSON.parse(new TextDecoder().decode(first.value))).toMatchObject({ mounted: at });
  }

  /** Ends it as a person does; answers its exit code. */
  async function detach(signal: "SIGINT" | "SIGTERM" | "SIGKILL"): Promise<number | null> {
    exporter?.kill(signal);
    await exporter?.exited;
    const code = exporter?.exitCode ?? null;
    exporter = null;
    return code;
  }

  const sh = (script: string): Promise<Ended> =>
    run(["sh", "-c", script], {
      env: { PATH: process.env["PATH"] ?? "", AT: at },
      timeout: 50_000,
    });

  async function put(path: string, content: string | Uint8Array<ArrayBuffer>): Promise<void> {
    const file = join(machine.scratch("put"), "file");
    writeFileSync(file, content);
    const { code, stderr } = await machine.fazt("fs", "cp", file, `vfs:${path}`);
    expect([code, stderr]).toEqual([0, ""]);
  }

  test("ls, cat, grep, find and stat", async () => {
    await machine.fazt("fs", "mkdir", "/home/a/b", "--parents");
    await put("/home/note.txt", "hello\n");
    await put("/home/a/b/deep.txt", "deep hello\n");
    await attach();
    const names = (await sh("ls $AT")).stdout.split("\n");
    expect(names).toEqual(expect.arrayContaining(["apps", "data", "home", "mnt", "proc", "sys"]));
    expect((await sh("cat $AT/home/note.txt")).stdout).toBe("hello\n");
    const grep = await sh("cd $AT/home && grep -r hello . | sort");
    expect(grep.stdout).toBe("./a/b/deep.txt:deep hello\n./note.txt:hello\n");
    const find = await sh("cd $AT/home && find . | sort");
    expect(find.stdout).toBe(".\n./a\n./a/b\n./a/b/deep.txt\n./note.txt\n");
    expect((await sh("stat -c '%s %A %u' $AT/home/note.txt")).stdout).toBe("6 -r--r--r-- 0\n");
  });

  test("files that are made when they are read", async () => {
    await attach();
    expect((await sh("cat $AT/sys/health")).stdout).toContain("status: ok\n");
    expect((await sh("grep -c . $AT/sys/limits")).code).toBe(0);
    expect((await sh("tail -c 5 $AT/sys/metrics")).stdout).toContain("EOF");
  });

  test("a file of 100 MB, and a part of its middle", async () => {
    const bytes = noise(100_000_000, 21);
    await put("/home/large", bytes);
    await attach();
    const sum = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    expect((await sh("sha256sum < $AT/home/large")).stdout).toBe(`${sum}  -\n`);
    const part = new Bun.CryptoHasher("sha256").update(bytes.subarray(70_000_001, 70_300_001));
    const middle = await sh("tail -c +70000002 $AT/home/large | head -c 300000 | sha256sum");
    expect(middle.stdout).toBe(`${part.digest("hex")}  -\n`);
  });

  test("a directory of more entries than one page", async () => {
    const folder = machine.scratch("many");
    for (let i = 0; i < 2_300; i++) writeFileSync(join(folder, `f${i}`), "");
    const mounted = await machine.fazt("fs", "mount", folder, "/mnt/many");
    expect([mounted.code, mounted.stderr]).toEqual([0, ""]);
    await attach();
    expect((await sh("ls $AT/mnt/many | sort -u | wc -l")).stdout.trim()).toBe("2300");
    expect((await sh("ls -l $AT/mnt/many | wc -l")).stdout.trim()).toBe("2301");
    await machine.fazt("fs", "umount", "/mnt/many");
  });

  test("nothing can be changed, and what is not there is not there", async () => {
    await put("/home/note.txt", "hello\n");
    await attach();
    for (const script of [
      "echo x > $AT/home/new",
      "echo x > $AT/home/note.txt",
      "mkdir $AT/home/new",
      "rm $AT/home/note.txt",
      "mv $AT/home/note.txt $AT/home/other",
      "chmod 777 $AT/home/note.txt",
    ]) {
      const { code, stderr } = await sh(script);
      expect([script, code === 0, stderr]).toEqual([
        script,
        false,
        expect.stringContaining("Read-only file system"),
      ]);
    }
    expect((await sh("cat $AT/home/none")).stderr).toContain("No such file");
    expect((await sh("ls $AT/home/note.txt/x")).stderr).toContain("Not a directory");
    expect((await machine.fazt("fs", "read", "/home/note.txt")).stdout).toBe("hello\n");
  });

  test("a file that is replaced while it is read ends in an error, not in other bytes", async () => {
    await put("/home/swapped", noise(3_000_000, 1));
    await attach();
    const child = Bun.spawn(
      ["sh", "-c", "exec 3<$AT/home/swapped; head -c 10 <&3; read -r go; cat <&3 >/dev/null"],
      { env: { AT: at, PATH: process.env["PATH"] ?? "" }, stdio: ["pipe", "pipe", "pipe"] },
    );
    await child.stdout.getReader().read();
    await put("/home/swapped", noise(3_000_000, 2));
    child.stdin.write("go\n");
    child.stdin.end();
    expect(await child.stderr.text()).toContain("Stale file handle");
    expect(await child.exited).not.toBe(0);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`${signal} detaches it, also while somebody is in it`, async () => {
      await attach();
      const inside = Bun.spawn(["sleep", "600"], { cwd: join(at, "home") });
      expect(await detach(signal)).toBe(0);
      expect(isMounted(at)).toBe(false);
      inside.kill();
      await inside.exited;
    });
  }

  test("what a killed one left is taken away by the next", async () => {
    await attach();
    await detach("SIGKILL");
    expect((await sh("ls $AT")).stderr).toContain("not connected");
    await attach();
    expect((await sh("ls $AT")).stdout).toContain("home\n");
  });

  test("a kernel that goes away is an error and no standstill, and it may come back", async () => {
    await put("/home/note.txt", "hello\n");
    await attach();
    expect((await sh("cat $AT/home/note.txt")).stdout).toBe("hello\n");
    await machine.stop("SIGKILL");
    expect((await sh("cat $AT/sys/health")).stderr).toContain("Input/output error");
    expect((await sh("ls $AT")).stderr).toContain("Input/output error");
    await machine.start();
    expect((await sh("cat $AT/home/note.txt")).stdout).toBe("hello\n");
  });

  test("another machine, over HTTP, by its token", async () => {
    await put("/home/note.txt", "hello\n");
    const env = {
      PATH: process.env["PATH"] ?? "",
      HOME: machine.scratch("far"),
      FAZT_HOST: `http://os.localhost:${machine.port}`,
      FAZT_TOKEN: machine.token,
    };
    const command = [...program, "fs", "mount", "--host", at];
    exporter = Bun.spawn(command, { env, stdio: ["ignore", "pipe", "pipe"] });
    await exporter.stdout.getReader().read();
    expect((await sh("cat $AT/home/note.txt")).stdout).toBe("hello\n");
  });

  test("is refused before anything is mounted", async () => {
    const full = machine.scratch("full");
    writeFileSync(join(full, "x"), "");
    const refused = async (...args: string[]) => {
      const { code, stderr } = await machine.fazt("fs", "mount", ...args);
      return [code, stderr.split("\n")[0]];
    };
    expect(await refused("--host", full)).toEqual([1, expect.stringContaining("not empty")]);
    const none = join(full, "none");
    expect(await refused("--host", none)).toEqual([1, expect.stringContaining("no such file")]);
    expect(await refused("--host", at, "/mnt/x")).toEqual([
      2,
      expect.stringContaining("nothing beside"),
    ]);
    expect(await refused("/srv")).toEqual([2, expect.stringContaining("missing argument")]);
    await machine.stop();
    expect(await refused("--host", at)).toEqual([3, expect.stringContaining("cannot reach")]);
    expect(isMounted(at)).toBe(false);
    await machine.start();
  });
});
