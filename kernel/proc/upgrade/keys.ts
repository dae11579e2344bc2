/**
 * Whose releases this program takes: two public keys, so that one can be replaced while the other
 * still signs. A build may bring others (`FAZT_RELEASE_KEYS`, lines of base64), as tests do.
 */
import { type PublicKey, publicKeyOf } from "./signature.ts";

declare const FAZT_RELEASE_KEYS: string | undefined;

/** The key that signs, and the one that will when it is gone. */
const released = `
RWRy4jI9//mb+BiCmO8y+AM9IK5LBbInpvOfWT58vuV7OHcqH0HgJ+r9
RWTNYVNffoXpmBj28nzclZvT6mUi+qt+/PAN+hRAymHA5Q90fG0aTFw9
`;

/** The keys of this program. */
export function releaseKeys(): PublicKey[] {
  const text = typeof FAZT_RELEASE_KEYS === "string" ? FAZT_RELEASE_KEYS : released;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map(publicKeyOf);
}
