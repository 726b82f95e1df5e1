// An HTTP server that stands between a client and the Worker, passes requests on as they are, and injects the faults
// of a network and of the servers in it. Storage's URLs lead through it as well: the Worker builds them for the `Host`
// that the client used, and storage checks that `Host` against the signature.
import { createServer, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { gunzipSync } from "node:zlib";

export type Step = "start" | "put" | "confirm" | "read" | "sign" | "complete" | "batch" | "status" | "cancel";

export interface CannedAnswer {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

/** What happens to one request. "after" means that the Worker, or storage, has carried it out. */
export type How =
  /** The connection breaks: before the request is passed on, after it was carried out, or while it is being sent. */
  | "cut"
  | "cut after"
  | "cut while sending"
  /** Headers come, then half of the body, then the connection breaks. The body's length is announced, or it is chunked. */
  | "cut in body"
  | "cut in chunks"
  /** Nothing more ever comes, and the connection stays open. */
  | "hang"
  | "hang after"
  | "hang in body"
  /** A byte of the answer's body comes now and then, without end. */
  | "drip"
  /** The answer comes with another body. */
  | { change: (body: string) => string }
  /** Another server's answer: in place of the real one, after the request was carried out, or before it was read. */
  | { answer: CannedAnswer }
  | { answerAfter: CannedAnswer }
  | { answerWhileSending: CannedAnswer };

export interface InjectedFault {
  step: Step | "other";
  how: How | "pass";
  /** Only a request whose path holds this text meets it. */
  path?: string;
  /** So many requests of this step, one after the other, meet it; one unless given. */
  times?: number;
  /** Is awaited as soon as the request's headers are there, before its body is read. */
  meanwhile?: () => Promise<unknown> | void;
}

/** One request as the client made it, and the real answer's status, if it was passed on. */
export interface SeenRequest {
  step: Step | "other";
  /** With the query. */
  path: string;
  headers: IncomingHttpHeaders;
  /** The body, if it is JSON, as far as it came. */
  json: string;
  at: number;
  status: number | undefined;
}

interface RealAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export class FaultProxy {
  url = "";
  readonly seen: SeenRequest[] = [];
  /** Bytes of files that came from clients. */
  received = 0;
  /** Is called whenever there are more of them, or another request. */
  onProgress = () => {};
  private readonly server: Server;
  private readonly waiting: InjectedFault[];

  private constructor(
    private readonly target: URL,
    faults: InjectedFault[],
  ) {
    this.waiting = faults.flatMap((fault) => Array.from({ length: fault.times ?? 1 }, () => fault));
    this.server = createServer({ requestTimeout: 0 }, (request, response) => {
      // The client may be gone when something is written to it, which is no error of the proxy.
      this.serve(request, response).catch(() => response.destroy());
    });
  }

  static async start(target: URL, faults: InjectedFault[] = []): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, faults);
    await new Promise<void>((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    proxy.url = `http://127.0.0.1:${(proxy.server.address() as AddressInfo).port}`;
    return proxy;
  }

  /** How many of the faults no request has met. */
  get left(): number {
    return this.waiting.length;
  }

  steps(): string[] {
    return this.seen.map(({ step }) => step);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const step = stepOf(request);
    const seen: SeenRequest = { step, path: request.url!, headers: request.headers, json: "", at: Date.now(), status: undefined };
    this.seen.push(seen);
    this.onProgress();
    const met = this.waiting.findIndex((fault) => fault.step === step && request.url!.includes(fault.path ?? ""));
    const { how = "pass", meanwhile } = this.waiting.splice(met, met < 0 ? 0 : 1)[0] ?? {};
    await meanwhile?.();

    if (how === "cut") return void request.socket.destroy();
    if (how === "cut while sending") return void request.once("data", () => request.socket.destroy());
    if (how === "hang") return void request.resume();
    if (typeof how === "object" && "answerWhileSending" in how) return answerWith(response, how.answerWhileSending, { connection: "close" });
    if (typeof how === "object" && "answer" in how) {
      await request.resume().toArray();
      return answerWith(response, how.answer);
    }

    const real = await this.forward(request, seen);
    seen.status = real.status;
    if (how === "pass") return void response.writeHead(real.status, asSent(real.headers)).end(real.body);
    if (how === "cut after") return void request.socket.destroy();
    if (how === "hang after") return;
    if (typeof how === "object" && "answerAfter" in how) return answerWith(response, how.answerAfter);
    if (typeof how === "object") {
      return answerWith(response, { status: real.status, headers: { "content-type": "application/json" }, body: how.change(textOf(real)) });
    }

    // Half of the body, or of one that storage could have sent where the real one is empty.
    const body = real.body.length > 0 ? real.body : Buffer.from("<Storage/>");
    const { "content-length": _, ...headers } = asSent(real.headers);
    const chunked = how === "cut in chunks" || how === "drip";
    response.writeHead(real.status, chunked ? headers : { ...headers, "content-length": body.length });
    await new Promise((resolve) => response.write(body.subarray(0, body.length / 2), resolve));
    if (how === "drip") {
      const drops = setInterval(() => response.write(" "), 100);
      return void response.on("close", () => clearInterval(drops));
    }
    if (how !== "hang in body") request.socket.destroy();
  }

  /** The request as it came, `Host` included, and the whole answer. */
  private async forward(request: IncomingMessage, seen: SeenRequest): Promise<RealAnswer> {
    const { method, url: path, headers } = request;
    const { hostname, port } = this.target;
    const onward = httpRequest({ hostname, port, path, method, headers, agent: false });
    const answered = new Promise<IncomingMessage>((resolve, reject) => onward.on("response", resolve).on("error", reject));
    request.on("data", (chunk: Buffer) => {
      if (seen.step !== "put") return void (seen.json += chunk);
      this.received += chunk.length;
      this.onProgress();
    });
    // Storage may answer before it has the whole body; then the rest of it has nowhere to go.
    await Promise.race([pipeline(request, onward), answered]);
    const answer = await answered;
    return { status: answer.statusCode!, headers: answer.headers, body: Buffer.concat(await answer.toArray()) };
  }
}

function stepOf({ method, url = "" }: IncomingMessage): Step | "other" {
  if (method === "PUT") return "put";
  if (method === "DELETE") return "cancel";
  if (method === "POST") {
    if (url === "/v1/asset-uploads") return "start";
    if (url === "/v1/asset-upload-confirmations") return "batch";
    if (url === "/v1/api-keys") return "other";
    if (url.endsWith("/parts")) return "sign";
    return url.endsWith("/completions") ? "complete" : "confirm";
  }
  if (url.startsWith("/v1/asset-uploads/")) return "status";
  return url.startsWith("/v1/assets/") ? "read" : "other";
}

/** A client that asks for it, as fetch does, gets the body compressed. */
function textOf({ headers, body }: RealAnswer): string {
  return (headers["content-encoding"] === "gzip" ? gunzipSync(body) : body).toString();
}

/** Headers of an answer without those of its own connection. */
function asSent(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection, "keep-alive": _, "transfer-encoding": __, ...rest } = headers;
  return rest;
}

function answerWith(response: ServerResponse, { status, headers = {}, body = "" }: CannedAnswer, more: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "text/plain", ...headers, ...more }).end(body);
}
