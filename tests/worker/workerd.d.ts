// The little of workerd's own modules and globals that fault-worker.ts uses.
declare module "cloudflare:workers" {
  export class WorkerEntrypoint<Env> {
    protected ctx: { waitUntil(promise: Promise<unknown>): void };
    protected env: Env;
    fetch?(request: Request): Promise<Response>;
    scheduled?(controller: ScheduledController): Promise<void>;
    queue?(batch: MessageBatch): Promise<void>;
  }
}

interface ScheduledController {
  cron: string;
  scheduledTime: number;
}

interface MessageBatch {
  queue: string;
}

// The browser's `scheduler`, which tests of the page bring, has no such method.
interface Scheduler {
  wait(ms: number): Promise<void>;
}
