/**
 * `fazt console` on a real terminal against a real kernel: the claim, the dashboard, the login, the
 * shell with its pager, search and idle end, recovery, and a terminal that can only add lines.
 */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testRootPass } from "../kernel.ts";
import { type KernelProcess, program, startProcess } from "../process.ts";
import { Pty, type PtyOptions } from "../pty.ts";

function consoleOn(
  machine: KernelProcess,
  { line = "quiet", args = [], ...options }: PtyOptions & { line?: string; args?: string[] } = {},
): Pty {
  const commandLine = join(machine.scratch("boot"), "cmdline");
  writeFileSync(commandLine, `${line}\n`);
  const words = ["console", "--data", machine.dataDir, "--command-line", commandLine, ...args];
  const env = { HOME: machine.scratch("home"), FAZT_RUN: machine.scratch("run"), ...options.env };
  return new Pty([...program, ...words], { ...options, env });
}

test("a machine is claimed on its console, shows itself, and gives a shell to who logs in", async () => {
  await using machine = await startProcess({ claimed: false });
  await using tty = consoleOn(machine, { args: ["--idle", "2s"] });
  const code = machine.ready.setupCode ?? "";
  expect(await tty.see(code)).toContain("█▀▀▀▀▀▀▀█");
  await tty.see("Enter set it up here", "\r");
  await tty.see("Make this machine yours", "localhost\rme@example.com\rpassword12\r");
  await tty.see("are guessed first", "\x15");
  tty.type(`${testRootPass}\r${testRootPass} \r`);
  await tty.see("These two differ.", "\x7f\r");
  await tty.see("This machine is yours", "\r");
  await tty.see("no apps yet");
  expect(tty.grid.text).toContain("os.localhost");
  await tty.see("Enter log in", "\rwrong horse battery\r");
  await tty.see("Wrong password.", `${testRootPass}\r`);
  await tty.see("fazt>", "secu\twho\t\r");
  await tty.see("via           socket", "storage kv set app k secret-value\r");
  await tty.see("no such app", "man storage kv set\r");
  await tty.see("more: Space, Enter", "q");
  await tty.see(/fazt>\n*$/, "\x12whoa");
  await tty.see("(search) whoa: security whoami", "\x03");
  // Nobody types: the shell ends by itself, and the next one has to log in.
  await tty.see("Enter log in");
  expect(tty.sent).toContain("logged out: nobody typed for 2.0 s");
  const history = readFileSync(join(machine.dataDir, "run/console/fazt/history"), "utf8");
  expect(history).toContain("security whoami");
  expect(history).not.toContain("secret-value");
  expect(tty.sent).not.toContain(testRootPass);
});

test("a stream that nobody attends to ends too, and Ctrl-C ends a command and not the shell", async () => {
  await using machine = await startProcess();
  await using tty = consoleOn(machine, { args: ["--idle", "3s"] });
  await tty.see("Enter log in", `\r${testRootPass}\r`);
  await tty.see("fazt>", "proc logs kernel -f\r");
  await tty.see("-f", "\x03");
  await tty.see(/fazt>\n*$/, "proc top\r");
  await tty.see("q ends", "q");
  await tty.see(/fazt>\n*$/, "proc top\r");
  await tty.see("q ends", "\x03");
  await tty.see(/fazt>\n*$/, "proc logs access -f\r");
  await tty.see("Enter log in");
});

test("five wrong setup codes elsewhere: the console shows the new one", async () => {
  await using machine = await startProcess({ claimed: false });
  await using tty = consoleOn(machine);
  const old = machine.ready.setupCode ?? "";
  await tty.see(old);
  const body = JSON.stringify({
    code: "AAAA-BBBB-CCCC",
    rootPass: testRootPass,
    domain: "localhost",
    email: "me@example.com",
  });
  const headers = { "content-type": "application/json" };
  for (let i = 0; i < 5; i++) {
    await fetch(`${machine.ready.http}/sys/setup/claim`, { method: "POST", headers, body });
  }
  const { setupCode } = await machine.faztJson<{ setupCode: string }>("security", "owner");
  expect(setupCode).not.toBe(old);
  await tty.see(setupCode);
  expect(tty.grid.text).not.toContain(old);
});

test("recovery asked for at the boot menu sets a new root password, which is told and on record", async () => {
  await using machine = await startProcess();
  await using tty = consoleOn(machine, { line: "quiet fazt.recovery" });
  const password = "seven lamps violin moss";
  await tty.see("1  Set a new root password", "\r");
  await tty.see("A new root password", `${password}\r${password}\r`);
  await tty.see("The root password is replaced", "\r");
  await tty.see("root password replaced at the console", `\r${testRootPass}\r`);
  await tty.see("Wrong password.", `${password}\r`);
  await tty.see("The root password was replaced at this console", "security acknowledge\r");
  await tty.see("done", "exit\r");
  await tty.see("Enter log in");
  expect(tty.grid.text).not.toContain("replaced");
  await expect(machine.call("app.ls")).rejects.toThrow("EKEYREJECTED");
  const audit = await machine.faztJson<{ outcome: string }[]>(
    ...["security", "audit", "--call", "security.recover"],
  );
  expect(audit).toMatchObject([{ outcome: "ok", via: "socket" }]);
});

test("everything is erased only when the words are typed, and at next start", async () => {
  await using machine = await startProcess();
  await using tty = consoleOn(machine, { line: "quiet fazt.recovery" });
  await tty.see("3  Erase everything", "3");
  await tty.see("are gone for good", "erase it\r");
  await tty.see("Type: erase everything", "\x15erase everything\r");
  await tty.see("Everything is erased when the machine starts again");
  expect((await machine.restart()).setupCode).not.toBeNull();
});

test("proc top is live, and the probes have short names", async () => {
  await using machine = await startProcess();
  await using tty = consoleOn(machine);
  await tty.see("Enter log in", `\r${testRootPass}\r`);
  await tty.see("fazt>", "proc top\r");
  await tty.see(/APP .*\n+kernel +running/, "\x03");
  await tty.see(/fazt>\n*$/, "ping 127.0.0.1 --count 1\r");
  await tty.see(/1 +127\.0\.0\.1 +[\d.]+ ms/, `http ${machine.ready.http}\r`);
  await tty.see(/status +\d+/, "proc poweroff\r");
  await tty.see("this machine is no appliance");
});

test("a terminal that answers nothing gets plain lines, and can log in all the same", async () => {
  await using machine = await startProcess();
  await using tty = consoleOn(machine, {
    answers: false,
    env: { TERM: "vt220" },
    args: ["--idle", "2s"],
  });
  await tty.see("Enter log in", "\r");
  const asked = tty.sent.length;
  await tty.see("Root password", `${testRootPass}\r`);
  await tty.see("fazt>", "security whoami\r");
  await tty.see("capabilities");
  await tty.see("logged out: nobody typed for 2.0 s");
  await tty.see(/Enter log in\n*$/);
  // The questions apart, which every terminal is asked.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what is asked
  const questions = /\x1b(7|8|\[999;999H|\[6n)/g;
  expect(tty.sent.slice(asked).replace(questions, "")).not.toContain("\x1b");
  expect(tty.sent).not.toContain(testRootPass);
});

test("without a kernel it waits, says why when init has said it, and comes up with the kernel", async () => {
  await using machine = await startProcess();
  await machine.stop();
  const trouble = {
    target: "storage",
    code: "EBADMSG",
    message: "cannot open it",
    hint: null,
    at: 1,
  };
  const told = join(machine.scratch("run"), "trouble.json");
  await using tty = consoleOn(machine);
  await tty.see("starting");
  writeFileSync(told, JSON.stringify(trouble));
  await tty.see("The machine is not up: storage", "4");
  await tty.see("this machine belongs to its host", "\r");
  await tty.see("1  Try again");
  await machine.start();
  await tty.see("Enter log in");
});
