// Makes API keys, independently of the Worker's code.
import { createHash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function base62(number: bigint, width: number): string {
  let digits = "";
  for (let i = 0; i < width; i++, number /= 62n) digits = BASE62[Number(number % 62n)] + digits;
  return digits;
}

/** `au_`, 43 random base62 characters, and the CRC-32 of these 46 characters in 6 more. */
export function makeToken(): string {
  const start = `au_${base62(BigInt(`0x${randomBytes(32).toString("hex")}`), 43)}`;
  return start + base62(BigInt(crc32(start)), 6);
}

/** What the database stores of a key. */
export const hashOf = (token: string) => createHash("sha256").update(token).digest("hex");
