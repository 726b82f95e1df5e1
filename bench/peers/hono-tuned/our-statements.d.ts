// What stands beside hono-tuned when it runs: our Worker's statements.
declare const statements: { confirm: string[]; page: Record<string, string>; folder: string[]; deletion: string[] };
export default statements;
