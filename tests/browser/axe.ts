/**
 * What axe-core finds wrong with a page as it stands: WCAG 2.2 A and AA, and its best practices.
 * It is evaluated by the debugger, so that the page's own policy stays as it is.
 */
import axe from "axe-core";
import type { Page } from "playwright-core";

const run = `axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
})`;

interface Result {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly html: string }[];
  }[];
}

/** One line a violation and place. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<Result>(run);
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html }) => `${id}: ${help}: ${html}`),
  );
}
