// A test-only main module: the built Worker as it is deployed, and a path that uses up all memory of its WebAssembly
// instance, so that the next larger allocation traps.
import { WorkerEntrypoint } from "cloudflare:workers";
import { fill, instances } from "./wasm-memory.ts";
// @ts-expect-error The build has no type declarations.
import Deployed from "../../build/index.js";

export default class extends WorkerEntrypoint<object> {
  override async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/instances") return Response.json(instances());
    if (pathname === "/fill") {
      fill(Number(searchParams.get("bytes")));
      return new Response();
    }
    return new Deployed(this.ctx, this.env).fetch(request);
  }
}
