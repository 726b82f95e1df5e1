// A test-only main module around the built Worker that injects faults and records storage calls. A request names its
// faults in the header `x-test-faults`; the answer has the storage calls in their order in `x-test-storage-calls`, the
// rows that D1 billed in `x-test-rows-billed`, the most calls of each kind that were under way at the same time in
// `x-test-most-at-once`, and the ids of the multipart uploads that R2 began in `x-test-multipart-ids`. Calls of the queue
// come after the answer: a log line has them, where `x-test-continues` says that the Worker goes on.
import { WorkerEntrypoint } from "cloudflare:workers";
import { memory } from "./wasm-memory.ts";
// @ts-expect-error The build has no type declarations.
import Inner from "../../build/index.js";
import type { Fault, RowsBilled } from "./server.ts";

interface Env {
  BUCKET: object;
  DB: object;
  EVENTS: object;
}

/** Calls that reach storage; the others (prepare, bind) stay in the isolate. */
const STORAGE_CALLS = ["head", "get", "put", "delete", "list", "createMultipartUpload", "batch", "run", "all", "first", "raw", "exec", "send", "sendBatch"];
/** Those of a multipart upload, and what they are called here; it is resumed in the isolate. */
const MULTIPART_CALLS: Record<string, string> = { complete: "completeMultipartUpload", abort: "abortMultipartUpload", uploadPart: "uploadPart" };

/** What storage was asked for. */
class Trace {
  calls: string[] = [];
  billed: RowsBilled = { rows_read: 0, rows_written: 0 };
  mostAtOnce: Record<string, number> = {};
  multipartIds: string[] = [];
  private count = new Map<string, number>();
  private underWay = new Map<string, number>();
  private faults: Fault[];

  constructor(faults: Fault[]) {
    this.faults = faults;
  }

  wrap(name: string, binding: object): object {
    return new Proxy(binding, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== "function") return value;
        const make = (args: unknown[]) => Reflect.apply(value, target, args);
        if (property === "resumeMultipartUpload") return (...args: unknown[]) => this.wrapMultipart(name, make(args), args[0]);
        if (!STORAGE_CALLS.includes(String(property))) return value.bind(target);
        return (...args: unknown[]) =>
          this.call(`${name}.${String(property)}`, property === "batch" || property === "sendBatch" ? (args[0] as unknown[]).length : String(args[0]), () => make(args));
      },
    });
  }

  private wrapMultipart(name: string, upload: object, key: unknown): object {
    return new Proxy(upload, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => this.call(`${name}.${MULTIPART_CALLS[String(property)]}`, String(key), () => Reflect.apply(value, target, args));
      },
    });
  }

  /** Makes a call, with its fault if it has one. */
  private call(call: string, what: string | number, make: () => unknown): unknown {
    const nth = (this.count.get(call) ?? 0) + 1;
    this.count.set(call, nth);
    this.calls.push(`${call}(${what})`);
    const matches = ({ call: at, nth: when, key }: Fault) =>
      at === call && (when === undefined || when === nth) && (key === undefined || String(what).includes(key));
    const fault = this.faults.find(matches);
    if (fault?.how === "throw in then") return { then: () => fail(fault.message) };
    return this.callWith(fault, call, make);
  }

  /** Makes the call itself. Where its answer is to be lost, it does not matter that it is an error. */
  private async make(fault: Fault | undefined, make: () => unknown): Promise<unknown> {
    try {
      return await make();
    } catch (error) {
      if (fault?.how.endsWith("after")) return fault.how === "throw after" ? fail(fault.message) : new Promise(() => {});
      throw error;
    }
  }

  private async callWith(fault: Fault | undefined, call: string, make: () => unknown): Promise<unknown> {
    if (fault?.how === "throw") throw new Error(fault.message);
    if (fault?.how === "hang") return new Promise(() => {});
    const underWay = (this.underWay.get(call) ?? 0) + 1;
    this.underWay.set(call, underWay);
    this.mostAtOnce[call] = Math.max(this.mostAtOnce[call] ?? 0, underWay);
    try {
      if (fault?.how === "delay") await scheduler.wait(fault.ms ?? 0);
      const result: unknown = await this.make(fault, make);
      if (call === "BUCKET.createMultipartUpload") this.multipartIds.push((result as { uploadId: string }).uploadId);
      for (const { meta } of call === "DB.batch" ? (result as { meta: RowsBilled }[]) : []) {
        this.billed.rows_read += meta.rows_read;
        this.billed.rows_written += meta.rows_written;
      }
      if (fault?.how === "throw after") throw new Error(fault.message);
      if (fault?.how === "hang after") return new Promise(() => {});
      return fault?.how === "customer key" && result ? withProperties(result, { ssecKeyMd5: "q0J9" }) : result;
    } finally {
      this.underWay.set(call, this.underWay.get(call)! - 1);
    }
  }
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

/** The cron trigger of every minute; any other runs the sweeper. */
const EVERY_MINUTE = "* * * * *";
const isOfQueue = (call: string) => call.startsWith("EVENTS.");

export default class extends WorkerEntrypoint<Env> {
  private inner(trace: Trace): any {
    const BUCKET = trace.wrap("BUCKET", this.env.BUCKET);
    const DB = trace.wrap("DB", this.env.DB);
    const EVENTS = trace.wrap("EVENTS", this.env.EVENTS);
    return new Inner(this.ctx, { ...this.env, BUCKET, DB, EVENTS });
  }

  /** A run of the cron of every minute, without faults; or of the sweeper, whose faults are the cron pattern. */
  override async scheduled(controller: ScheduledController): Promise<void> {
    const { cron } = controller;
    const trace = new Trace(cron.startsWith("[") ? JSON.parse(cron) : []);
    await this.inner(trace).scheduled(controller);
    this.log(cron === EVERY_MINUTE ? "cron trace" : "trace", trace.calls, trace.billed);
  }

  /** A batch of messages, without faults. */
  override async queue(batch: MessageBatch): Promise<void> {
    const trace = new Trace([]);
    await this.inner(trace).queue(batch);
    this.log("queue trace", trace.calls, trace.billed);
  }

  override async fetch(request: Request): Promise<Response> {
    const faults = JSON.parse(request.headers.get("x-test-faults") ?? "[]") as Fault[];
    const trace = new Trace(faults);
    const timer = faults.find(({ call }) => call === "setTimeout");
    if (timer) breakNextTimer(timer);
    const inner = this.inner(trace);
    const afterwards: Promise<unknown>[] = [];
    inner.ctx = withProperties(this.ctx, { waitUntil: (promise: Promise<unknown>) => void afterwards.push(promise) });
    const answer: Response = await inner.fetch(requestWith(request, faults));
    const response = new Response(answer.body, answer);
    response.headers.set("x-test-storage-calls", JSON.stringify(trace.calls.filter((call) => !isOfQueue(call))));
    response.headers.set("x-test-continues", String(afterwards.length > 0));
    response.headers.set("x-test-rows-billed", JSON.stringify(trace.billed));
    response.headers.set("x-test-most-at-once", JSON.stringify(trace.mostAtOnce));
    response.headers.set("x-test-multipart-ids", JSON.stringify(trace.multipartIds));
    response.headers.set("x-test-memory", JSON.stringify(memory()));
    if (afterwards.length > 0) {
      const log = () => this.log("afterwards", trace.calls.filter(isOfQueue), { answer: answer.headers.get("x-request-id") });
      this.ctx.waitUntil(Promise.allSettled(afterwards).then(log));
    }
    return response;
  }

  private log(event: string, calls: string[], rest: object): void {
    console.log(JSON.stringify({ level: "info", event, calls, ...rest }));
  }
}
