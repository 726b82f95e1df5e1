// A receiver of webhooks: a real HTTP server on this machine that keeps what it gets and answers what a test wants.
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { wait } from "./server.ts";

/** A request that the receiver got. */
export interface Received {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
  /** The body as JSON. */
  event: any;
  at: number;
}

export type Handler = (received: Received, response: ServerResponse) => void;

/** Takes every delivery. */
export const accept: Handler = (_, response) => void response.writeHead(204).end();
/** Answers this status with this body. */
export const answer = (status: number, body = "", headers: Record<string, string> = {}): Handler =>
  (_, response) => void response.writeHead(status, headers).end(body);
/** Never answers. */
export const hang: Handler = () => {};

export class Receiver {
  received: Received[] = [];
  /** What it answers at these paths; it takes every other delivery. */
  readonly handlers: Record<string, Handler> = {};
  port = 0;
  private server: HttpServer | undefined;

  /** Listens, on the port that it had before where it was stopped. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.take(request, response));
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(this.port, "127.0.0.1", resolve));
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
  }

  async stop(): Promise<void> {
    const server = this.server;
    this.server = undefined;
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  }

  /** What WEBHOOK_INSECURE_HOSTS has to list. */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  url(path = "/"): string {
    return `http://${this.host}${path}`;
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const received = { method: request.method!, path: request.url!, headers, body, event: body === "" ? undefined : JSON.parse(body), at: Date.now() };
    this.received.push(received);
    (this.handlers[received.path] ?? accept)(received, response);
  }

  /** Waits until that many have come, of those that the filter keeps. */
  async until(count: number, filter: (received: Received) => boolean = () => true, ms = 30_000): Promise<Received[]> {
    for (const deadline = Date.now() + ms; Date.now() < deadline; await wait(20)) {
      const found = this.received.filter(filter);
      if (found.length >= count) return found;
    }
    const got = this.received.filter(filter).map(({ path, event }) => `${path} ${event?.type}`);
    throw new Error(`${count} deliveries did not come within ${ms} ms; there are ${got.length}: ${got.slice(0, 20).join(", ")}`);
  }
}

/** What the library of Standard Webhooks makes of a delivery; throws where the signature is wrong. */
export const verified = ({ body, headers }: Received, secret: string): any => new Webhook(secret).verify(body, headers);
