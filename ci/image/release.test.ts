/** The bill of materials names what is in the image, and not what only built it. */
import { expect, test } from "bun:test";
import { billOfMaterials, programComponents, systemComponents } from "./release.ts";

test("a package of the system is a component with its package URL", () => {
  const [udev] = systemComponents("udev\t257.9-1~deb13u1\tamd64\tsystemd\n", "debian");
  expect(udev?.purl).toBe("pkg:deb/debian/udev@257.9-1~deb13u1?arch=amd64");
});

test("npm packages that only build or test are left out", () => {
  const parts = programComponents({
    "": { version: "1.0.0" },
    "node_modules/@a/b": { version: "2.0.0" },
    "node_modules/x/node_modules/hono": { version: "4.0.0" },
    "node_modules/typescript": { version: "7.0.0", dev: true },
  });
  expect(parts.map(({ purl }) => purl)).toEqual(["pkg:npm/@a/b@2.0.0", "pkg:npm/hono@4.0.0"]);
  const bill = JSON.parse(billOfMaterials(parts));
  expect(bill).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6" });
  expect(bill.components).toHaveLength(2);
});
