// WebAssembly traps: what is deployed makes a new instance of it, and the next request is answered.
import { expect, test } from "vitest";
import { world } from "./harness.ts";

const w = world({ config: "tests/worker/trap.toml" });

/** Past the harness, which expects of every answer what a Worker that has trapped cannot give. */
const ask = (path: string) => fetch(new URL(path, w.url));
const instances = async (): Promise<number> => (await (await ask("/instances")).json()) as number;

test.each([
  ["at the beginning of a request", 64],
  // What is left is enough until the body is copied, which the Worker waits for.
  ["in the middle of a request", 8_192],
])("when memory runs out %s, that request is a 500 and the next one is answered", async (_, bytes) => {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  const upload = await w.upload(org, editor);
  const before = await instances();
  await ask(`/fill?bytes=${bytes}`);
  const body = JSON.stringify({ name: "n".repeat(50_000) });
  const headers = { authorization: `Bearer ${editor.token}`, "content-type": "application/json" };
  const trapped = await fetch(new URL(`/v1/asset-uploads/${upload}/confirmations`, w.url), { method: "POST", headers, body });
  // Nothing of ours answered it.
  expect([trapped.status, trapped.headers.has("x-request-id")]).toEqual([500, false]);
  expect((await w.confirm(upload, { as: editor })).status).toBe(201);
  expect(await instances()).toBe(before + 1);
});
