// Requests to the API: every endpoint by its path.
import createFetchClient, { type Client as FetchClient } from "openapi-fetch";
import { ApiError, isErrorBody, UnexpectedResponseError } from "./errors.js";
import {
  type Answer, isOk, isTransient, linkedTo, LONGEST_PAUSE, LostAnswer, randomKey, reasonOf, retryAfterOf, type RetryOptions, withRetries,
} from "./retry.js";
import type { paths } from "./schema.js";
import type { AnswerOf, InitArgument, Method, OperationOf, PathOf, RequestOptions } from "./types.js";

export interface ClientOptions {
  /** The address of the Worker, for example `https://uploads.example.com`. */
  baseUrl: string;
  /** An API key, `au_...`. */
  token: string;
  /** The organization to act in, for a key that could act in several. */
  organizationId?: string | undefined;
  /** Used for requests to the API instead of the global one. Files are sent without it. */
  fetch?: typeof fetch | undefined;
  /** A request that gets no whole answer for so many milliseconds counts as failed, and is repeated. Default: 60,000. */
  timeoutMs?: number | undefined;
}

interface JsonAnswer extends Answer {
  /** Undefined where the body is no JSON. */
  json: unknown;
  requestId: string | null;
}

/** What get, post, patch and delete pass on. Their types have checked it. */
interface AnyInit extends RequestOptions {
  params?: { path?: object; query?: object; header?: object };
  body?: unknown;
}

function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

/** What whole uploads and confirmations are made of. */
export class Requests {
  /** The address of the Worker, without a slash at its end. */
  readonly baseUrl: string;
  readonly timeoutMs: number;
  readonly #options: ClientOptions;
  readonly #fetchClient: FetchClient<paths>;

  constructor(options: ClientOptions) {
    const isHttp = /^https?:\/\/[^/]/.test(options.baseUrl) && URL.canParse(options.baseUrl);
    if (!isHttp) throw new TypeError(`baseUrl is no http URL: ${options.baseUrl}`);
    // Such a token cannot be sent, and the error of fetch would show it.
    if (!/^[!-~]+$/.test(options.token)) throw new TypeError("the token has characters that no API key has");
    this.baseUrl = options.baseUrl.replace(/\/+$/, "");
    this.timeoutMs = options.timeoutMs ?? 60_000;
    this.#options = options;
    // A followed redirect could turn POST into GET.
    this.#fetchClient = createFetchClient<paths>({ baseUrl: this.baseUrl, redirect: "manual" });
  }

  get<P extends PathOf<"get">, F extends string = never>(
    path: P,
    ...[init]: InitArgument<OperationOf<P, "get">, F>
  ): Promise<AnswerOf<OperationOf<P, "get">, F>> {
    return this.#request("get", path, init) as Promise<AnswerOf<OperationOf<P, "get">, F>>;
  }

  /** One without `Idempotency-Key` gets a random one. All repeats have the same, so that it happens once. Keys and webhooks have no such repeats. */
  post<P extends PathOf<"post">, F extends string = never>(
    path: P,
    ...[init]: InitArgument<OperationOf<P, "post">, F>
  ): Promise<AnswerOf<OperationOf<P, "post">, F>> {
    return this.#request("post", path, init) as Promise<AnswerOf<OperationOf<P, "post">, F>>;
  }

  patch<P extends PathOf<"patch">, F extends string = never>(
    path: P,
    ...[init]: InitArgument<OperationOf<P, "patch">, F>
  ): Promise<AnswerOf<OperationOf<P, "patch">, F>> {
    return this.#request("patch", path, init) as Promise<AnswerOf<OperationOf<P, "patch">, F>>;
  }

  delete<P extends PathOf<"delete">, F extends string = never>(
    path: P,
    ...[init]: InitArgument<OperationOf<P, "delete">, F>
  ): Promise<AnswerOf<OperationOf<P, "delete">, F>> {
    return this.#request("delete", path, init) as Promise<AnswerOf<OperationOf<P, "delete">, F>>;
  }

  async #request(method: Method, path: string, init: AnyInit = {}): Promise<unknown> {
    const { signal, params } = init;
    const headers = new Headers(init.headers);
    for (const [name, value] of Object.entries(params?.header ?? {})) if (value != null) headers.set(name, String(value));
    if (method === "post" && !headers.has("idempotency-key")) headers.set("idempotency-key", randomKey());
    if (this.#options.organizationId && !headers.has("x-organization-id")) headers.set("x-organization-id", this.#options.organizationId);
    headers.set("authorization", `Bearer ${this.#options.token}`);
    // A second key or secret would be made; nobody would know the first one.
    const once = method === "post" && /^\/v1\/(api-keys$|webhooks)/.test(path);
    const retryOptions: RetryOptions<JsonAnswer> = {
      who: this.#origin,
      signal,
      repeatAfterLoss: !once,
      // A success that is cut off is a lost answer as well.
      isTransient: ({ status, json }) => {
        const isCutOff = isOk(status) && status !== 204 && json === undefined;
        return once ? status === 429 : isTransient(status) || isCutOff;
      },
    };
    const answer = await withRetries(retryOptions, () => this.#send(method, path, { ...init, params: { ...params, header: {} }, headers }));
    return this.#bodyOf(answer);
  }

  get #origin(): string {
    return new URL(this.baseUrl).origin;
  }

  /** One request and its whole answer, as text. */
  async #send(method: Method, path: string, init: Omit<AnyInit, "headers"> & { headers: Headers }): Promise<JsonAnswer> {
    const { controller: ended, release } = linkedTo(init.signal);
    const timer = setTimeout(() => ended.abort(new Error(`nothing came for ${this.timeoutMs / 1000} seconds`)), this.timeoutMs);
    let isSent = false;
    const send = (request: Request) => {
      isSent = true;
      return (this.#options.fetch ?? globalThis.fetch)(request);
    };
    try {
      const request = { ...init, signal: ended.signal, parseAs: "text", fetch: send };
      const { data, error, response } = await this.#fetchClient.request(method, path as never, request as never);
      const { status, headers } = response as Response;
      // openapi-fetch parses an error where it can.
      const text = error === undefined || typeof error === "string" ? (error ?? (data as string | undefined)) : JSON.stringify(error);
      return { status, json: jsonOf(text), requestId: headers.get("x-request-id"), retryAfter: retryAfterOf(headers.get("retry-after")) };
    } catch (error) {
      // A body that is no JSON, for example, is no matter of the network.
      if (!isSent) throw error;
      throw new LostAnswer(this.#withoutToken(reasonOf(ended.signal.aborted ? ended.signal.reason : error)));
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  #bodyOf({ status, json, requestId, retryAfter }: JsonAnswer): unknown {
    if (status === 204) return undefined;
    if (isOk(status) && typeof json === "object" && json !== null) return json;
    if (!isOk(status) && isErrorBody(json)) throw new ApiError(status, json, requestId, retryAfter);
    if (retryAfter !== null && retryAfter > LONGEST_PAUSE) {
      throw new UnexpectedResponseError(`${this.#origin} answered ${status}; try again in ${retryAfter} seconds`, status);
    }
    // A browser shows a redirect as status 0.
    const error = status === 0 ? "a redirect" : `${status} and no error of this API`;
    throw this.unexpected(isOk(status) ? "something that is not this API's JSON" : error, status);
  }

  /** What was answered is not of this API. */
  unexpected(what: string, status = 200): UnexpectedResponseError {
    return new UnexpectedResponseError(`${this.#origin} answered ${what}: is this the Worker's address?`, status);
  }

  #withoutToken(text: string): string {
    return text.replaceAll(this.#options.token, "au_...");
  }
}
