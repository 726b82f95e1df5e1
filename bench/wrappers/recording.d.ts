// What stands beside canned.ts when it runs: the answers of storage that were recorded.
declare const recording: { head: unknown; statements: Record<string, Record<string, unknown>> };
export default recording;
