/** The apps that are measured. */

/** The folder of an app of this bench. */
export function fixture(name: "hello" | "kv"): string {
  return new URL(`./fixtures/${name}`, import.meta.url).pathname;
}

/** The full-stack app of the tests. */
export function notesApp(): string {
  return new URL("../../tests/fixtures/apps/notes", import.meta.url).pathname;
}
