// HTTP/1.1 byte for byte, for requests that fetch() would correct or reject: odd paths, methods, headers and bodies.
import { connect } from "node:net";

export interface RawAnswer {
  status: number;
  headers: Headers;
  text: string;
}

/** Sends bytes on one connection and reads the answer to its end. A string is sent as Latin-1; a number is a pause in ms. */
export async function sendRaw(url: URL, ...parts: (string | Uint8Array | number)[]): Promise<RawAnswer> {
  const socket = connect(Number(url.port), url.hostname);
  const send = async () => {
    for (const part of parts) {
      if (typeof part === "number") await new Promise((resolve) => setTimeout(resolve, part));
      else socket.write(typeof part === "string" ? Buffer.from(part, "latin1") : part);
    }
  };
  void send();
  const chunks: Buffer[] = [];
  // A server that has read enough may reset the connection; the answer before that still counts.
  socket.on("error", () => {});
  await new Promise((resolve) => socket.on("data", (chunk) => chunks.push(chunk)).on("close", resolve));
  const answer = Buffer.concat(chunks).toString("utf8");
  const [head = "", ...rest] = answer.split("\r\n\r\n");
  const [statusLine = "", ...lines] = head.split("\r\n");
  const headers = new Headers(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
  const body = rest.join("\r\n\r\n");
  const chunked = headers.get("transfer-encoding") === "chunked";
  return { status: Number(statusLine.split(" ")[1]), headers, text: chunked ? unchunk(body) : body };
}

function unchunk(body: string): string {
  const bytes = Buffer.from(body);
  let text = "";
  for (let at = 0; ; ) {
    const end = bytes.indexOf("\r\n", at);
    const size = Number.parseInt(bytes.toString("latin1", at, end), 16);
    if (!size) return text;
    text += bytes.toString("utf8", end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}
