// Webhooks in the built Worker, with the local queue and a real receiver on this machine.
import { expect, test } from "vitest";
import { createPerson, organizationWithEditor, S3 } from "./fixtures.ts";
import { Receiver, verified } from "./receiver.ts";
import { confirm, putFile, startUpload } from "./requests.ts";
import { startServer } from "./server.ts";

const receiver = new Receiver();
await receiver.start();
const server = startServer({
  vars: { ...S3.vars, WEBHOOK_INSECURE_HOSTS: receiver.host },
  secrets: { ...S3.secrets, WEBHOOK_SIGNING_KEY: "of these tests" },
});

test("smoke: a confirmation is delivered, signed", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const admin = await createPerson(server, { [org]: "admin" });
  const made = await server.request("POST", "/v1/webhooks", {
    as: admin,
    body: JSON.stringify({ url: receiver.url("/a"), event_types: ["asset.created"] }),
  });
  expect([made.status, made.json]).toMatchObject([201, { secret: expect.stringMatching(/^whsec_/) }]);
  const upload = await startUpload(server, editor);
  expect(await putFile(upload)).toBe("200");
  expect((await confirm(server, upload.id, { as: editor })).status).toBe(201);
  const [delivery] = await receiver.until(1);
  expect(verified(delivery!, made.json.secret)).toMatchObject({ type: "asset.created", organization_id: org, data: { id: upload.id } });
  console.log(JSON.stringify(delivery, null, 1));
  const list = await server.request("GET", `/v1/webhooks/${made.json.id}/deliveries`, { as: admin });
  console.log(JSON.stringify(list.json, null, 1));
  console.log(JSON.stringify(server.logs(), null, 0));
  await receiver.stop();
});
