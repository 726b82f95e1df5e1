// Runs schemathesis against a Worker with the key of one person.
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type TestData, describe, writeDictionary } from "./describe.ts";
import { type Person, ROOT } from "../worker/server.ts";

/** Test cases per operation and phase. */
const EXAMPLES = process.env["FUZZ_EXAMPLES"] ?? "100";
const HERE = new URL("tests/fuzz/", ROOT);

/** `who` sends the requests, without a key unless `people` has it; its objects must stay hidden from `peer`. */
export async function schemathesis(url: URL, data: TestData, people: Record<string, Person>, who: string, peer: string): Promise<void> {
  const out = new URL(`build/fuzz/${who}/`, ROOT);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const write = (name: string, text: string) => writeFileSync(new URL(name, out), text);

  write("openapi.json", JSON.stringify(await describe(url, data)));
  for (const name of ["organizations", "uploads", "folders", "webhooks", "deliveries"] as const) writeDictionary(new URL(`${name}.dict`, out), data[name]);
  const auth = Object.entries(people).map(([name, { token }]) => ({
    name,
    fixedHeaders: [{ name: "Authorization", value: `Bearer ${token}` }],
  }));
  write("people.json", JSON.stringify({ auth }));
  const asSomebody = `\n[auth.wfc]\npath = "people.json"\nuser = "${who}"\npeers = ["${who}", "${peer}"]\n`;
  const config = readFileSync(new URL("schemathesis.toml", HERE), "utf8");
  write("schemathesis.toml", who in people ? config + asSomebody : config);

  return new Promise((resolve, reject) => {
    execFile(
      `${ROOT.pathname}build/fuzz-venv/bin/schemathesis`,
      ["--config-file", "schemathesis.toml", "run", "openapi.json", "--url", url.origin, "--max-examples", EXAMPLES],
      {
        cwd: out.pathname,
        maxBuffer: 64 * 1024 * 1024,
        env: {
          ...process.env,
          SCHEMATHESIS_HOOKS: new URL("hooks.py", HERE).pathname,
          HYPOTHESIS_STORAGE_DIRECTORY: "hypothesis",
          // Sets are walked in the same order each time.
          PYTHONHASHSEED: "0",
        },
      },
      (error, stdout, stderr) => {
        write("output.txt", stdout);
        if (error) reject(new Error(`schemathesis as ${who}: ${error.message}\n${stdout}${stderr}`));
        else resolve();
      },
    );
  });
}
