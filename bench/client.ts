// The client of the benchmark: HTTP/1.1 over connections that stay open, as little of it as a measurement
// should hold. Requests are made before the clock starts; answers must have a Content-Length, but for 204.
import { connect, type Socket } from "node:net";

export interface Answer {
  status: number;
  head: string;
  body: string;
}

/** A request as bytes. */
export function request(method: string, path: string, headers: Record<string, string>, body?: string): Buffer {
  const all = { host: "localhost", ...headers, ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body ?? ""}`);
}

/** One connection; one request at a time. */
class Connection {
  private readonly socket: Socket;
  private broken: Error | undefined;
  private received: Buffer = Buffer.alloc(0);
  private waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;

  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1").setNoDelay();
    this.socket.on("data", (chunk) => this.take(chunk));
    this.socket.on("error", (error) => this.fail(error));
    this.socket.on("close", () => this.fail(new Error("the Worker closed the connection")));
  }

  send(bytes: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.broken) return reject(this.broken);
      this.waiting = { resolve, reject };
      this.socket.write(bytes);
    });
  }

  close(why: Error): void {
    this.fail(why);
    this.socket.destroy();
  }

  private fail(error: Error): void {
    this.broken = error;
    this.waiting?.reject(error);
    this.waiting = undefined;
  }

  private take(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    const end = this.received.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.received.toString("latin1", 0, end);
    const status = Number(head.slice(9, 12));
    const length = status === 204 ? 0 : /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) return this.fail(new Error(`an answer without Content-Length: ${head}`));
    const whole = end + 4 + Number(length);
    if (this.received.length < whole) return;
    const answer = { status, head, body: this.received.toString("utf8", end + 4, whole) };
    this.received = this.received.subarray(whole);
    const waiting = this.waiting;
    this.waiting = undefined;
    waiting?.resolve(answer);
  }
}

/** So many clients of one Worker. */
export class Clients {
  private readonly connections: Connection[];

  constructor(port: number, count: number) {
    this.connections = Array.from({ length: count }, () => new Connection(port));
  }

  /**
   * Sends the requests, each client its next as soon as it has its answer, and demands `status` of each:
   * the milliseconds each took, and all of them together.
   */
  async send(requests: Buffer[], status: number): Promise<{ each: number[]; total: number }> {
    const each: number[] = [];
    let next = 0;
    const late = setTimeout(() => this.close(new Error("no answer within a minute")), 60_000);
    const started = performance.now();
    await Promise.all(
      this.connections.map(async (connection) => {
        for (let bytes = requests[next++]; bytes !== undefined; bytes = requests[next++]) {
          const sent = performance.now();
          const answer = await connection.send(bytes);
          each.push(performance.now() - sent);
          if (answer.status !== status) throw new Error(`${answer.status} instead of ${status}: ${answer.body}\n${bytes}`);
        }
      }),
    );
    const total = performance.now() - started;
    clearTimeout(late);
    return { each, total };
  }

  async one(bytes: Buffer): Promise<Answer> {
    return this.connections[0]!.send(bytes);
  }

  close(why = new Error("closed")): void {
    for (const connection of this.connections) connection.close(why);
  }
}
