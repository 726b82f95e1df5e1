// A test-only main module around the built Worker that injects faults and records storage calls. A request names its
// faults in the header `x-test-faults`; the answer has the storage calls in their order in `x-test-storage-calls`, and the
// rows that D1 billed in `x-test-rows-billed`.
import { WorkerEntrypoint } from "cloudflare:workers";
import { memory } from "./wasm-memory.ts";
// @ts-expect-error The build has no type declarations.
import Inner from "../../build/index.js";
import type { Fault, RowsBilled } from "./server.ts";

interface Env {
  BUCKET: object;
  DB: object;
}

/** Calls that reach storage; the others (prepare, bind) stay in the isolate. */
const STORAGE_CALLS = ["head", "get", "put", "delete", "list", "batch", "run", "all", "first", "raw", "exec"];

function wrap(name: string, binding: object, faults: Fault[], calls: string[], billed: RowsBilled): object {
  const count = new Map<string, number>();
  return new Proxy(binding, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      if (!STORAGE_CALLS.includes(String(property))) return value.bind(target);
      const callWith = async (fault: Fault | undefined, args: unknown[]) => {
        if (fault?.how === "throw") throw new Error(fault.message);
        if (fault?.how === "hang") return new Promise(() => {});
        if (fault?.how === "delay") await scheduler.wait(fault.ms ?? 0);
        const result: unknown = await Reflect.apply(value, target, args);
        for (const { meta } of name === "DB" ? (result as { meta: RowsBilled }[]) : []) {
          billed.rows_read += meta.rows_read;
          billed.rows_written += meta.rows_written;
        }
        if (fault?.how === "throw after") throw new Error(fault.message);
        if (fault?.how === "hang after") return new Promise(() => {});
        return fault?.how === "customer key" && result ? withProperties(result, { ssecKeyMd5: "q0J9" }) : result;
      };
      return (...args: unknown[]) => {
        const call = `${name}.${String(property)}`;
        const nth = (count.get(call) ?? 0) + 1;
        count.set(call, nth);
        calls.push(`${call}(${name === "DB" ? (args[0] as unknown[]).length : String(args[0])})`);
        const matches = ({ call: at, nth: when, key }: Fault) =>
          at === call && (when === undefined || when === nth) && (key === undefined || String(args[0]).includes(key));
        const fault = faults.find(matches);
        if (fault?.how === "throw in then") return { then: () => fail(fault.message) };
        return callWith(fault, args);
      };
    },
  });
}

function fail(message?: string): never {
  throw new Error(message);
}

/** An object of the platform with some of its properties replaced; its own getters fail on a Proxy as `this`. */
function withProperties(object: object, replaced: Record<string, unknown>): object {
  return new Proxy(object, {
    get(target, property) {
      const value: unknown = property in replaced ? replaced[String(property)] : Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The request; its headers cannot be read where a fault says so. */
function requestWith(request: Request, faults: Fault[]): Request {
  const fault = faults.find(({ call }) => call === "headers.get");
  if (fault === undefined) return request;
  return withProperties(request, { headers: { get: () => fail(fault.message) } }) as Request;
}

/** Makes the next timer throw. */
function breakNextTimer({ message }: Fault): void {
  const real = globalThis.setTimeout;
  globalThis.setTimeout = (() => {
    globalThis.setTimeout = real;
    fail(message);
  }) as unknown as typeof setTimeout;
}

export default class extends WorkerEntrypoint<Env> {
  private inner(faults: Fault[], calls: string[], billed: RowsBilled): any {
    const BUCKET = wrap("BUCKET", this.env.BUCKET, faults, calls, billed);
    const DB = wrap("DB", this.env.DB, faults, calls, billed);
    return new Inner(this.ctx, { ...this.env, BUCKET, DB });
  }

  /** A run of the sweeper. Its faults are in the cron pattern, which the Worker does not read. */
  override async scheduled(controller: ScheduledController): Promise<void> {
    const faults = controller.cron.startsWith("[") ? JSON.parse(controller.cron) : [];
    const calls: string[] = [];
    const billed: RowsBilled = { rows_read: 0, rows_written: 0 };
    await this.inner(faults, calls, billed).scheduled(controller);
    console.log(JSON.stringify({ level: "info", event: "trace", calls, ...billed }));
  }

  override async fetch(request: Request): Promise<Response> {
    const faults = JSON.parse(request.headers.get("x-test-faults") ?? "[]") as Fault[];
    const calls: string[] = [];
    const billed: RowsBilled = { rows_read: 0, rows_written: 0 };
    const timer = faults.find(({ call }) => call === "setTimeout");
    if (timer) breakNextTimer(timer);
    const answer: Response = await this.inner(faults, calls, billed).fetch(requestWith(request, faults));
    const response = new Response(answer.body, answer);
    response.headers.set("x-test-storage-calls", JSON.stringify(calls));
    response.headers.set("x-test-rows-billed", JSON.stringify(billed));
    response.headers.set("x-test-memory", JSON.stringify(memory()));
    return response;
  }
}
