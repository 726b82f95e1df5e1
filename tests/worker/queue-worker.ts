// A test-only main module: the built Worker with the queue that the variable QUEUE says: one that throws, rejects or never
// answers; none without it.
import { WorkerEntrypoint } from "cloudflare:workers";
// @ts-expect-error The build has no type declarations.
import Deployed from "../../build/index.js";

interface Env {
  QUEUE?: "throws" | "rejects" | "hangs";
}

const QUEUES = {
  throws: {
    sendBatch() {
      throw new Error("the queue is broken");
    },
  },
  rejects: { sendBatch: () => Promise.reject(new Error("the queue is broken")) },
  hangs: { sendBatch: () => new Promise(() => {}) },
};

export default class extends WorkerEntrypoint<Env> {
  private inner(): any {
    const { QUEUE } = this.env;
    return new Deployed(this.ctx, QUEUE ? { ...this.env, EVENTS: QUEUES[QUEUE] } : this.env);
  }

  override fetch(request: Request): Promise<Response> {
    return this.inner().fetch(request);
  }

  override scheduled(controller: ScheduledController): Promise<void> {
    return this.inner().scheduled(controller);
  }
}
