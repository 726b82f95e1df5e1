// A Worker in a workerd process of its own, without wrangler's simulators around it.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Readable } from "node:stream";
// @ts-expect-error It has no type declarations; what it exports as `default` is the path of the program.
import workerd from "workerd";
import { type Module, ROOT } from "./peers.ts";
import { COMPATIBILITY, variables } from "./simulator.ts";

/** Nanoseconds of CPU that a process has used, and how many bytes of memory it holds. */
export function usageOf(pid: number): { cpu: number; memory: number } {
  let cpu = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    // A thread may end in between.
    try {
      cpu += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
    } catch {}
  }
  const memory = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
  return { cpu, memory };
}

/** What runs dies with this process, whichever way it ends. */
const children = new Set<ChildProcess>();
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

/** How workerd's configuration names a module. */
const CAPNP = { ESModule: "esModule", CompiledWasm: "wasm", Text: "text", Data: "data" };

/** The configuration of a Worker, ready to be started. */
export class Program {
  private readonly folder: URL;
  private readonly loader: boolean;

  /** With `loader` it can load further Workers, which workerd calls an experiment. */
  constructor(name: string, modules: Module[], loader = false) {
    this.loader = loader;
    this.folder = new URL(`build/bench/${name}/`, ROOT);
    mkdirSync(this.folder, { recursive: true });
    for (const { path, contents } of modules) writeFileSync(new URL(path, this.folder), contents);
    const list = modules.map(({ path, type }) => `(name = "${path}", ${CAPNP[type]} = embed "${path}")`);
    const bindings = Object.entries(variables()).map(([key, value]) => `(name = "${key}", text = ${JSON.stringify(value)})`);
    if (loader) bindings.push('(name = "LOADER", workerLoader = ())');
    const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [${list.join(", ")}],
    bindings = [${bindings.join(", ")}],
    compatibilityDate = "${COMPATIBILITY.date}",
    compatibilityFlags = ${JSON.stringify(COMPATIBILITY.flags)},
  ))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;
    writeFileSync(new URL("config.capnp", this.folder), config);
  }

  /** Starts it; with `inspect` its debugger listens, too. */
  async start(inspect = false): Promise<Running> {
    const more = [...(inspect ? ["--inspector-addr=127.0.0.1:0"] : []), ...(this.loader ? ["--experimental"] : [])];
    const child = spawn(workerd.default, ["serve", "config.capnp", "--control-fd=3", ...more], { cwd: this.folder, stdio: ["ignore", "ignore", "inherit", "pipe"] });
    children.add(child);
    const control = child.stdio[3] as Readable;
    const ports: Record<string, number> = {};
    await new Promise<void>((resolve, reject) => {
      child.on("exit", (code) => reject(new Error(`workerd ended with ${code}`)));
      let received = "";
      control.on("data", (data: Buffer) => {
        received += data.toString();
        for (let end = received.indexOf("\n"); end >= 0; end = received.indexOf("\n")) {
          const { event, port } = JSON.parse(received.slice(0, end));
          received = received.slice(end + 1);
          ports[event === "listen-inspector" ? "inspector" : "http"] = port;
        }
        if (ports["http"] && (!inspect || ports["inspector"])) resolve();
      });
    });
    return new Running(child, ports["http"]!, ports["inspector"]);
  }
}

export class Running {
  readonly port: number;
  readonly inspector: number | undefined;
  private readonly child: ChildProcess;

  constructor(child: ChildProcess, port: number, inspector: number | undefined) {
    this.child = child;
    this.port = port;
    this.inspector = inspector;
  }

  usage(): { cpu: number; memory: number } {
    return usageOf(this.child.pid!);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = new Promise((resolve) => this.child.on("exit", resolve));
      this.child.kill("SIGKILL");
      await ended;
    }
    children.delete(this.child);
  }
}
