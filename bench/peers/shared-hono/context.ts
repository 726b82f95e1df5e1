// One request: its id, its storage calls with their time limit and repeats, and what its log line says.
import type { Bindings } from "./bindings.ts";
import { ApiError } from "./errors.ts";

// A HEAD and every statement here are safe to repeat.
const D1_TRANSIENT = /Network connection lost|storage caused object to be reset|reset because its code was updated|Cannot resolve D1 DB/;
const D1_UNAVAILABLE = /overloaded|Too many requests queued|timed out|timeout|exceeded its (memory|CPU time) limit|internal error/;
const R2_PERMANENT = /\((10002|10003|10005|10006|10020|10031|10037|10042|10069)\)/;
const MAX_CALLS = 3;

class Timeout extends Error {}

/** A UUID of version 7. What follows the version in a random one is random in both. */
export function uuidV7(ms: number): string {
  const time = ms.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`;
}

/** The text of a storage error; drizzle wraps that of a single query, but not that of a batch. */
function textOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
}

export class RequestContext {
  readonly started = Date.now();
  readonly id = uuidV7(this.started);
  orgId: string | null = null;
  userId: string | null = null;
  r2Ms: number | null = null;
  d1Ms: number | null = null;
  retries = 0;
  private readonly limit: number;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The calls that the timer may end, those that are done among them; by deadline, as all have the same limit. */
  private readonly calls: { deadline: number; expire: (error: Error) => void }[] = [];

  constructor(env: Bindings) {
    this.limit = Number(env.STORAGE_TIMEOUT_MS || 5_000);
  }

  /** Waits for R2. */
  async r2<T>(call: () => PromiseLike<T>): Promise<T> {
    const started = Date.now();
    try {
      return await this.limited(call, (message) => !R2_PERMANENT.test(message));
    } catch (error) {
      throw new ApiError("STORAGE_UNAVAILABLE", null, `R2: ${textOf(error)}`);
    } finally {
      this.r2Ms = (this.r2Ms ?? 0) + Date.now() - started;
    }
  }

  /** Waits for D1. */
  async d1<T>(call: () => PromiseLike<T>): Promise<T> {
    const started = Date.now();
    try {
      return await this.limited(call, (message) => D1_TRANSIENT.test(message));
    } catch (error) {
      const message = textOf(error);
      const unavailable = error instanceof Timeout || D1_TRANSIENT.test(message) || D1_UNAVAILABLE.test(message);
      throw new ApiError(unavailable ? "STORAGE_UNAVAILABLE" : "INTERNAL_ERROR", null, `D1: ${message}`);
    } finally {
      this.d1Ms = (this.d1Ms ?? 0) + Date.now() - started;
    }
  }

  /** Ends what it holds. */
  close(): void {
    clearTimeout(this.timer);
  }

  /** The call with its repeats, within the time limit. One timer serves all calls of a request. */
  private limited<T>(call: () => PromiseLike<T>, isTransient: (message: string) => boolean): Promise<T> {
    if (this.timer === undefined) this.startTimer(this.limit);
    return new Promise((resolve, reject) => {
      this.calls.push({ deadline: Date.now() + this.limit, expire: reject });
      this.repeated(call, isTransient).then(resolve, reject);
    });
  }

  private startTimer(ms: number): void {
    this.timer = setTimeout(() => {
      this.timer = undefined;
      const now = Date.now();
      while (this.calls[0] && this.calls[0].deadline <= now) this.calls.shift()!.expire(new Timeout(`no answer within ${this.limit} ms`));
      if (this.calls[0]) this.startTimer(this.calls[0].deadline - now);
    }, ms);
  }

  private async repeated<T>(call: () => PromiseLike<T>, isTransient: (message: string) => boolean): Promise<T> {
    for (let calls = 1; ; calls++) {
      try {
        return await call();
      } catch (error) {
        if (calls === MAX_CALLS || !isTransient(textOf(error))) throw error;
        this.retries++;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 250 * 2 ** calls));
      }
    }
  }
}
