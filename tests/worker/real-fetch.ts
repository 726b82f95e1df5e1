// wrangler's test harness sends a Worker's outgoing requests through `fetch` of the test's process, which follows
// redirects, answers 500 where nobody listens, and does not close a connection that the Worker has given up. A file that
// imports this one has workerd send them itself, as `wrangler dev` does.
import { createRequire } from "node:module";

interface DevEnv {
  config: { set(input: { dev: object }, ...rest: unknown[]): Promise<unknown> };
}

const wrangler = createRequire(import.meta.url)("wrangler") as { unstable_DevEnv: new (...args: unknown[]) => DevEnv };

wrangler.unstable_DevEnv = class extends wrangler.unstable_DevEnv {
  constructor(...args: unknown[]) {
    super(...args);
    const { config } = this;
    const set = config.set.bind(config);
    config.set = (input, ...rest) => set({ ...input, dev: { ...input.dev, outboundService: undefined } }, ...rest);
  }
};
