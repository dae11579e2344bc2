/**
 * The system call of volume. In the table it stands among storage's, as `storage.sql`: where the
 * data is, is where one looks for it.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { limits } from "./limits.ts";
import type { Cell } from "./task.ts";

const Value = z
  .union([
    z.null(),
    z.number(),
    z.string(),
    z.strictObject({ base64: z.base64().describe("bytes") }),
  ])
  .describe("null, a number, a text, or bytes as {base64}");

function paramsOf(
  positional: readonly Cell[],
  named: Readonly<Record<string, Cell>> | undefined,
): readonly Cell[] | Readonly<Record<string, Cell>> {
  return named ?? positional;
}

export const sql = call({
  summary: "Run one SQL statement on an app's own database",
  manual:
    "Reads only, unless write is set. The reply is the rows; a statement without rows answers " +
    "what it changed. Bytes are {base64}, integers beyond 2^53 texts, columns of one name are " +
    `told apart as id and id:2. A result over ${limits.rowsMax} rows or ` +
    `${limits.replyBytesMax} bytes is refused, not cut; a statement is ended after ` +
    `${limits.statementMsMax / 1000} s and leaves nothing. Inside the app the database is ` +
    "kernel.storage.sql().",
  input: z.object({
    app: z.string().min(1).describe("app, by name or id"),
    sql: z.string().min(1).max(limits.sqlCharsMax).describe("one statement"),
    params: z
      .array(Value)
      .max(limits.paramsMax)
      .default([])
      .describe("values for ?1, ?2 … in order"),
    named: z
      .record(z.string(), Value)
      .optional()
      .describe("values for :name, $name, @name, instead of params"),
    write: z.boolean().default(false).describe("whether it may change data"),
  }),
  output: z.array(z.unknown().meta({ type: "object" }).describe("one row: column → value")),
  args: ["app", "sql", "params"],
  secrets: ["params", "named"],
  needs: "storage:write",
  errors: ["ENOENT", "EROFS", "EFBIG", "ETIMEDOUT", "EBUSY", "EDQUOT", "EBADMSG", "ECANCELED"],
  effect: "write",
  examples: [
    { say: "How many posts are there?", input: { app: "blog", sql: "SELECT count(*) FROM post" } },
    {
      say: "Publish one",
      input: {
        app: "blog",
        sql: "UPDATE post SET public = 1 WHERE id = ?",
        params: [7],
        write: true,
      },
    },
  ],
  run: (kernel, { signal }, { app, sql: text, params, named, write }) =>
    kernel.volume.run(
      kernel.app.get(app),
      { sql: text, params: paramsOf(params, named), write },
      signal,
    ),
});
