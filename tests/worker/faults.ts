// A test-only main module around the built Worker. It records the storage calls of a request, in order,
// with what D1 says they cost, and lets a request name the faults it wants: header `x-test-faults` in,
// `x-test-trace` and `x-test-cost` out.
import { WorkerEntrypoint } from "cloudflare:workers";
import { memory } from "./memory.ts";
// @ts-expect-error The build has no type declarations.
import Inner from "../../build/index.js";
import type { Cost, Fault } from "./harness.ts";

interface Env {
  BUCKET: object;
  DB: object;
}

/** Calls that reach storage; all others (prepare, bind) happen in the isolate. */
const STORAGE_CALLS = ["head", "get", "put", "delete", "list", "batch", "run", "all", "first", "raw", "exec"];

function wrap(name: string, binding: object, faults: Fault[], trace: string[], cost: Cost): object {
  const count = new Map<string, number>();
  return new Proxy(binding, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      if (!STORAGE_CALLS.includes(String(property))) return value.bind(target);
      const answer = async (fault: Fault | undefined, args: unknown[]) => {
        if (fault?.how === "throw") throw new Error(fault.message);
        if (fault?.how === "hang") return new Promise(() => {});
        if (fault?.how === "delay") await scheduler.wait(fault.ms ?? 0);
        const result: unknown = await Reflect.apply(value, target, args);
        for (const { meta } of name === "DB" ? (result as { meta: Cost }[]) : []) {
          cost.rows_read += meta.rows_read;
          cost.rows_written += meta.rows_written;
        }
        if (fault?.how === "throw after") throw new Error(fault.message);
        if (fault?.how === "hang after") return new Promise(() => {});
        return fault?.how === "customer key" && result ? shown(result, { ssecKeyMd5: "q0J9" }) : result;
      };
      return (...args: unknown[]) => {
        const call = `${name}.${String(property)}`;
        const nth = (count.get(call) ?? 0) + 1;
        count.set(call, nth);
        trace.push(`${call}(${name === "DB" ? (args[0] as unknown[]).length : String(args[0])})`);
        const strikes = ({ call: at, nth: when, key }: Fault) =>
          at === call && (when === undefined || when === nth) && (key === undefined || String(args[0]).includes(key));
        const fault = faults.find(strikes);
        if (fault?.how === "throw in then") return { then: () => fail(fault.message) };
        return answer(fault, args);
      };
    },
  });
}

function fail(message?: string): never {
  throw new Error(message);
}

/** An object of the platform with some properties given; its own getters refuse a Proxy as `this`. */
function shown(object: object, given: Record<string, unknown>): object {
  return new Proxy(object, {
    get(target, property) {
      const value: unknown = property in given ? given[String(property)] : Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The request, or one whose headers cannot be read. */
function received(request: Request, faults: Fault[]): Request {
  const fault = faults.find(({ call }) => call === "headers.get");
  if (fault === undefined) return request;
  return shown(request, { headers: { get: () => fail(fault.message) } }) as Request;
}

/** The next timer throws. */
function spoilTimer({ message }: Fault): void {
  const real = globalThis.setTimeout;
  globalThis.setTimeout = (() => {
    globalThis.setTimeout = real;
    fail(message);
  }) as unknown as typeof setTimeout;
}

export default class extends WorkerEntrypoint<Env> {
  private inner(faults: Fault[], trace: string[], cost: Cost): any {
    const BUCKET = wrap("BUCKET", this.env.BUCKET, faults, trace, cost);
    const DB = wrap("DB", this.env.DB, faults, trace, cost);
    return new Inner(this.ctx, { ...this.env, BUCKET, DB });
  }

  /** A run of the sweeper; its faults come in place of the cron pattern, which the Worker does not read. */
  override async scheduled(controller: ScheduledController): Promise<void> {
    const faults = controller.cron.startsWith("[") ? JSON.parse(controller.cron) : [];
    const calls: string[] = [];
    await this.inner(faults, calls, { rows_read: 0, rows_written: 0 }).scheduled(controller);
    console.log(JSON.stringify({ level: "info", event: "trace", calls }));
  }

  override async fetch(request: Request): Promise<Response> {
    const faults = JSON.parse(request.headers.get("x-test-faults") ?? "[]") as Fault[];
    const trace: string[] = [];
    const cost: Cost = { rows_read: 0, rows_written: 0 };
    const timer = faults.find(({ call }) => call === "setTimeout");
    if (timer) spoilTimer(timer);
    const answer: Response = await this.inner(faults, trace, cost).fetch(received(request, faults));
    const response = new Response(answer.body, answer);
    response.headers.set("x-test-trace", JSON.stringify(trace));
    response.headers.set("x-test-cost", JSON.stringify(cost));
    response.headers.set("x-test-memory", JSON.stringify(memory()));
    return response;
  }
}
