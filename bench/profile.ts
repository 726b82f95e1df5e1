// `make profile`: where the CPU time of a Worker's own code goes, over confirmations with canned storage, or with
// REQUEST=page over pages of 50, by V8's sampling profiler. It takes what storage answers from the last `make bench`.
import { existsSync, readFileSync } from "node:fs";
import { makeToken } from "../tests/worker/key.ts";
import { Clients, request } from "./client.ts";
import { modulesOf, type Peer, PEERS, type Sql, wrapped } from "./peers.ts";
import { Program } from "./process.ts";

const [WARM, COUNT, SHOWN] = [3_000, 20_000, 50];

const peer = (process.argv[2] ?? "ours") as Peer;
const kind = process.argv[3] ?? "confirm";
const builtFile = (name: string) => new URL(`../build/bench/${name}`, import.meta.url);
const file = builtFile(`canned-${peer}/recording.js`);
if (!PEERS.includes(peer) || !existsSync(file)) {
  console.error(`There is no recording of ${peer}: name one of ${PEERS.join(", ")}, and run \`make bench\` first.`);
  process.exit(1);
}
const valueOf = (file: URL) => JSON.parse(readFileSync(file, "utf8").replace(/^export default |;$/g, ""));
const recording = valueOf(file);
const sql: Sql = valueOf(builtFile("canned-floor/our-statements.js"));

// What is confirmed must be what was recorded with our Worker.
const { found: { uploads: [{ asset }] } } = JSON.parse(valueOf(builtFile("canned-ours/recording.js")).statements.batch[sql.confirm[1]!].results[0].json);
const headers = { authorization: `Bearer ${makeToken()}`, "content-type": "application/json", "idempotency-key": "bench" };
const confirmation = request("POST", `/v1/asset-uploads/${asset.id}/confirmations`, headers, JSON.stringify({ folder_id: asset.folder_id }));
const [bytes, status] = kind === "page" ? [request("GET", "/v1/assets", headers), 200] : [confirmation, 201];

const worker = await new Program(`profile-${peer}`, wrapped(modulesOf(peer, sql), "canned", recording)).start(true);
const [target] = (await (await fetch(`http://127.0.0.1:${worker.inspector}/json`)).json()) as [{ webSocketDebuggerUrl: string }];
const socket = new WebSocket(target.webSocketDebuggerUrl);
await new Promise((resolve) => socket.addEventListener("open", resolve));
const answers = new Map<number, (result: any) => void>();
socket.addEventListener("message", ({ data }) => {
  const { id, result } = JSON.parse(String(data));
  answers.get(id)?.(result);
});
let last = 0;
const ask = (method: string, params = {}) =>
  new Promise<any>((resolve) => {
    answers.set(++last, resolve);
    socket.send(JSON.stringify({ id: last, method, params }));
  });

const clients = new Clients(worker.port, 1);
const send = (count: number) => clients.send(Array.from({ length: count }, () => bytes), status);
await send(WARM);
await ask("Profiler.enable");
await ask("Profiler.setSamplingInterval", { interval: 100 });
await ask("Profiler.start");
await send(COUNT);
const { profile } = await ask("Profiler.stop");

const spent = new Map<string, number>();
const frames = new Map<number, any>(profile.nodes.map((node: any) => [node.id, node.callFrame]));
profile.samples.forEach((id: number, i: number) => {
  const { functionName, url, lineNumber, columnNumber } = frames.get(id);
  const frame = `${functionName || "(anonymous)"} ${url.split("/").at(-1)}:${lineNumber}:${columnNumber}`;
  spent.set(frame, (spent.get(frame) ?? 0) + profile.timeDeltas[i] / COUNT);
});
const sorted = [...spent].toSorted((a, b) => b[1] - a[1]);
for (const [frame, micros] of sorted.slice(0, SHOWN)) console.log(`${micros.toFixed(2).padStart(8)} µs  ${frame}`);
console.log(`${sorted.reduce((sum, [, micros]) => sum + micros, 0).toFixed(1)} µs in all, a request; the profiler's own cost is in it`);
process.exit(0);
