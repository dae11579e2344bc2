/**
 * The image that this run of tests is about: made once, so that a change of the checkout meanwhile
 * does not change the disk under a machine.
 */
import { type Image, makeImage } from "../../ci/image.ts";

let made: Promise<Image> | null = null;

/** The image, made when it is not there. */
export function testImage(): Promise<Image> {
  made ??= makeImage();
  return made;
}
