/**
 * The apps that are measured: those of this bench, and the full-stack app that the tests deploy, so
 * that what is timed is also proven to work.
 */

/** The folder of an app of this bench. */
export function fixture(name: "hello" | "kv" | "mixed" | "echo" | "sockets"): string {
  return new URL(`./fixtures/${name}`, import.meta.url).pathname;
}

/** The hostile apps of the tests. */
export function hostileFixtures(): string {
  return new URL("../../tests/faults/hostile/fixtures", import.meta.url).pathname;
}

/** The full-stack app of the tests. */
export function notesApp(): string {
  return new URL("../../tests/fixtures/apps/notes", import.meta.url).pathname;
}
