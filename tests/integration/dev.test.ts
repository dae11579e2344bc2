/** `fazt app dev`: a saved file is served, a broken one is told and changes nothing, the log shows. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { program, startProcess, until } from "../process.ts";

test("what is saved is served, what is broken is told, and the log goes on", async () => {
  await using machine = await startProcess();
  const dir = machine.scratch("notes");
  const save = (body: string) => writeFileSync(join(dir, "server.js"), body);
  const server = (word: string) =>
    `console.log("began ${word}"); export default () => new Response("${word}");\n`;
  writeFileSync(join(dir, "app.json"), '{"name":"notes","server":"server.js"}');
  save(server("one"));
  const stdio = ["ignore", "pipe", "pipe"] as const;
  const words = [...program, "app", "dev", dir, "--data", machine.dataDir];
  const dev = Bun.spawn(words, { stdio: [...stdio] });
  let said = "";
  const listen = async (stream: ReadableStream<Uint8Array>) => {
    for await (const bytes of stream) said += Buffer.from(bytes).toString();
  };
  const heard = Promise.all([listen(dev.stdout), listen(dev.stderr)]);
  const serves = (word: string) =>
    until(`${word} is served`, async () => {
      return (await (await machine.fetch("notes", "/")).text()) === word;
    });
  const tells = (text: string) =>
    until(
      () => `it says "${text}": ${said}`,
      () => said.includes(text),
    );
  await serves("one");
  await tells("http://notes.localhost:");
  save(server("two"));
  await serves("two");
  await tells("began two");
  save("export default (;\n");
  await tells("cannot bundle");
  await serves("two");
  save(server("three"));
  await serves("three");
  await tells("began three");
  dev.kill("SIGINT");
  await heard;
  expect(await dev.exited).not.toBe(1);
}, 120_000);
