/** Which apps are started before their visitors come. */
import { expect, test } from "bun:test";
import { fitting } from "./warm.ts";

test("as many are started as half of what is free holds, the busiest first", () => {
  const awake = [40, 30, 50, 20].map((rssBytes, at) => ({ name: `app-${at}`, rssBytes }));
  expect(fitting(awake, 1000)).toEqual(awake);
  expect(fitting(awake, 150).map(({ name }) => name)).toEqual(["app-0", "app-1"]);
  expect(fitting(awake, 0)).toEqual([]);
});
