/**
 * The appliance's serial console, driven as a person does: the claim, the login, the shell,
 * and the machine switched off from there. The line answers no question about
 * itself, so the dialogue comes in plain lines.
 */
import { expect, test } from "bun:test";
import { testRootPass } from "../kernel.ts";
import { bootVm } from "./vm.ts";

test("a machine is claimed, used and switched off over its serial line", async () => {
  await using vm = await bootVm({ direct: true });
  const { serial } = vm;
  await serial.expect(/Setup code +[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4}/, 400_000);
  serial.type("\r");
  await serial.expect(/Domain/);
  serial.type("localhost\r");
  await serial.expect(/E-mail/);
  serial.type("me@example.com\r");
  await serial.expect(/Root password/);
  serial.type(`${testRootPass}\r`);
  await serial.expect(/Once more/);
  serial.type(`${testRootPass}\r`);
  await serial.expect(/This machine is yours/);
  serial.type("\r");
  await serial.expect(/Enter log in/);
  serial.type("\r");
  await serial.expect(/Root password/);
  serial.type(`${testRootPass}\r`);
  await serial.expect(/fazt> /);
  serial.type("ping 127.0.0.1 --count 1\r");
  await serial.expect(/1 +127\.0\.0\.1 +[\d.]+ ms/);
  await serial.expect(/fazt> /);
  serial.type("dns\r");
  await serial.expect(/missing argument NAME/);
  await serial.expect(/fazt> /);
  serial.type("proc poweroff\r");
  expect(await vm.exited).toBe(0);
  expect(serial.text).not.toContain(testRootPass);
}, 900_000);
