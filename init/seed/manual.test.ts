/** The page of the user-data document says what the document takes. */
import { expect, test } from "bun:test";
import { hashPassword } from "../../kernel/security/mod.ts";
import { readDocument } from "./document.ts";
import { userDataManual } from "./manual.ts";

test("the example of the page is a document", async () => {
  const example = /```yaml\n(.*?)```/s.exec(userDataManual())?.[1] ?? "";
  const hash = await hashPassword("gravel otter lamp seven");
  const whole = example.replace(/\$argon2id\S+/, hash).replace("secret: …", "secret: s");
  expect(readDocument(whole).kind).toBe("document");
});
