// Runs examples/upload.mjs as a process of its own, which a test may kill.
import { type ChildProcess, spawn } from "node:child_process";
import { afterAll } from "vitest";
import { ROOT } from "./server.ts";

const CLIENT = new URL("examples/upload.mjs", ROOT).pathname;
/** Pauses between attempts are random; these are nearly the shortest. */
const SHORT_PAUSES = "--import=data:text/javascript,Math.random=()=>0.05";

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface Client {
  ended: Promise<Ended>;
  /** As `kill -9` does. */
  kill(): Promise<Ended>;
}

const children: ChildProcess[] = [];

/** Kills what has not ended, as soon as the file's tests are over. */
export const killClients = () => afterAll(() => children.forEach((child) => child.kill("SIGKILL")));

export function startClient(url: string, token: string, args: string[]): Client {
  const env = { PATH: process.env.PATH, ASSET_UPLOADS_URL: url, ASSET_UPLOADS_TOKEN: token, NODE_OPTIONS: SHORT_PAUSES };
  const child = spawn(process.execPath, [CLIENT, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const ended = new Promise<Ended>((resolve) => child.on("close", (status) => resolve({ status, stdout, stderr })));
  return { ended, kill: () => (child.kill("SIGKILL"), ended) };
}
