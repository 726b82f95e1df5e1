// A WebAssembly trap: the deployed Worker creates a new instance, and answers the next request.
import { expect, test } from "vitest";
import { createOrganization, createPerson, createUpload } from "./fixtures.ts";
import { confirm } from "./requests.ts";
import { startServer, WITH_TRAP } from "./server.ts";

const server = startServer({ config: WITH_TRAP });

/** Without the checks of every answer, which an answer after a trap does not pass. */
const ask = (path: string) => fetch(new URL(path, server.url));
const instances = async (): Promise<number> => (await (await ask("/instances")).json()) as number;

test.each([
  ["at the beginning of a request", 64],
  // What is left is enough until the body is copied, which the Worker waits for.
  ["in the middle of a request", 8_192],
])("when memory runs out %s, that request is a 500 and the next one is answered", async (_, bytes) => {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" });
  const upload = await createUpload(server, org, editor);
  const before = await instances();
  await ask(`/fill?bytes=${bytes}`);
  const body = JSON.stringify({ name: "n".repeat(50_000) });
  const headers = { authorization: `Bearer ${editor.token}`, "content-type": "application/json" };
  const trapped = await fetch(new URL(`/v1/asset-uploads/${upload}/confirmations`, server.url), { method: "POST", headers, body });
  // workerd answered it, not the Worker.
  expect([trapped.status, trapped.headers.has("x-request-id")]).toEqual([500, false]);
  expect((await confirm(server, upload, { as: editor })).status).toBe(201);
  expect(await instances()).toBe(before + 1);
});
