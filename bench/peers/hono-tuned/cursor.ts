// Cursors of a list: a checksum of what they are bound to, and a position.

/** Directly beside the row that has this value and this id. */
export interface Position {
  orgId: string;
  id: string;
  above: boolean;
  key: string | number;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

const encoder = new TextEncoder();
/** workerd's, which the types of ES2024 do not know yet. */
const toHex = (bytes: Uint8Array) => (bytes as unknown as { toHex(): string }).toHex();
const fromHex = (text: string) => (Uint8Array as unknown as { fromHex(text: string): Uint8Array }).fromHex(text);
const checksum = (binding: string, payload: string) => crc32(encoder.encode(binding + payload)).toString(16).padStart(8, "0");

export function encode(binding: string, { orgId, id, above, key }: Position): string {
  const payload = JSON.stringify([orgId, id, above, key]);
  return checksum(binding, payload) + toHex(encoder.encode(payload));
}

/** Undefined unless it was made for this binding, and for a list that is sorted by values of this type. */
export function decode(text: string, binding: string, type: "number" | "string"): Position | undefined {
  if (!/^([\da-f]{2}){5,}$/.test(text)) return undefined;
  const payload = new TextDecoder().decode(fromHex(text.slice(8)));
  if (text.slice(0, 8) !== checksum(binding, payload)) return undefined;
  const [orgId, id, above, key] = JSON.parse(payload);
  return typeof key === type ? { orgId, id, above, key } : undefined;
}
