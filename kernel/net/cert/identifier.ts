/**
 * How an authority names a certificate it has issued (RFC 9773, 4.1): the issuer's key identifier
 * and the serial number, both base64url, with a dot between.
 */
import { X509Certificate } from "node:crypto";

/** DER of the extension's object identifier, 2.5.29.35 (authorityKeyIdentifier). */
const authorityKey = Buffer.of(0x06, 0x03, 0x55, 0x1d, 0x23);

/** The identifier, or null for a certificate that does not say whose key signed it. */
export function certIdOf(chain: string): string | null {
  const { raw, serialNumber } = new X509Certificate(chain);
  const key = keyIdentifier(raw);
  if (key === null) return null;
  const hex = serialNumber.length % 2 === 0 ? serialNumber : `0${serialNumber}`;
  const bytes = Buffer.from(hex, "hex");
  // The DER integer is signed: a leading one bit has a zero byte before it.
  const serial = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
  return `${key.toString("base64url")}.${serial.toString("base64url")}`;
}

/** `[0]` in the sequence in the octets after the identifier; all of them short (RFC 5280, 4.2.1.1). */
function keyIdentifier(der: Buffer): Buffer | null {
  const at = der.indexOf(authorityKey);
  if (at < 0) return null;
  const start = at + authorityKey.length;
  // OCTET STRING, its length, SEQUENCE, its length, [0], its length.
  const [octets, , sequence, , tag, length = 0] = der.subarray(start, start + 6);
  if (octets !== 0x04 || sequence !== 0x30 || tag !== 0x80 || length > 64) return null;
  return der.subarray(start + 6, start + 6 + length);
}
