// Types of headers.mjs, for tests.
export class UnusableVariable extends Error {}
export function headersFile(vars: Record<string, unknown>): string;
export function currentVariables(): Record<string, unknown>;
export function writeHeaders(path?: string): void;
