// API keys.
import { createHash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function base62(number: bigint, width: number): string {
  let digits = "";
  for (let i = 0; i < width; i++, number /= 62n) digits = BASE62[Number(number % 62n)] + digits;
  return digits;
}

/** An API key, made as the design says, independently of the Worker's code. */
export function makeToken(): string {
  const checked = `au_${base62(BigInt(`0x${randomBytes(32).toString("hex")}`), 43)}`;
  return checked + base62(BigInt(crc32(checked)), 6);
}

export const hashOf = (token: string) => createHash("sha256").update(token).digest("hex");
