// openapi.json, its examples and real answers agree with the user's specification of the confirmation endpoint. That every
// real answer agrees with openapi.json is checked in assertions.ts.
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { createFolder, createOrganization, createPerson, createUpload, S3 } from "./fixtures.ts";
import { errorsOf, examplesOf, openapi, operations, resolved, schemaOf } from "./openapi.ts";
import { confirm } from "./requests.ts";
import { ROOT, startServer, WITH_FAULTS } from "./server.ts";

const server = startServer({ ...S3, config: WITH_FAULTS });
const PATH = "/v1/asset-uploads/{asset_upload_id}/confirmations";
const page = readFileSync(new URL("tests/contract/confirm-endpoint.md", ROOT), "utf8");
const seed = parse(page.match(/````yaml [^\n]*\n(.*?)\n````/s)![1]!);

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(seed, "seed");

// The specification's schemas, and their names in openapi.json.
const NAMES: Record<string, string> = {
  ConfirmAssetUploadRequest: "ConfirmAssetUploadRequest",
  models__asset__Asset__FullValidator: "Asset",
  ErrorResponse: "ErrorResponse",
  EmbedValidator: "EmbeddedUser",
};

/** What is wrong with a value by a schema of the specification; null for nothing. */
function seedErrorsOf(name: string, value: unknown): string | null {
  const validate = ajv.getSchema(`seed#/components/schemas/${name}`)!;
  return validate(value) ? null : JSON.stringify(validate.errors);
}

/** The name of the schema that the specification has for an answer to a confirmation. */
function seedSchemaOf(status: number): string {
  return seed.paths[PATH].post.responses[status].content["application/json"].schema.$ref.split("/").at(-1);
}

/** The types a schema permits, through anyOf and $ref. */
function typesOf(document: any, schema: any): string[] {
  if (schema.$ref) return typesOf(document, schema.$ref.split("/").slice(1).reduce((at: any, key: string) => at[key], document));
  if (schema.anyOf) return schema.anyOf.flatMap((one: any) => typesOf(document, one)).sort();
  return [schema.type].flat().map((type: string) => (schema.format ? `${type}:${schema.format}` : type)).sort();
}

test("our description has the operation, its id, tag, parameters, body and statuses", () => {
  const theirs = seed.paths[PATH].post;
  const ours = openapi.paths[PATH].post;
  expect([ours.operationId, ours.summary, ours.tags]).toEqual([theirs.operationId, theirs.summary, theirs.tags]);
  expect(Object.keys(ours.responses)).toEqual(expect.arrayContaining(Object.keys(theirs.responses)));
  expect(ours.requestBody.required).toBe(true);
  expect(ours.requestBody.content["application/json"].schema).toEqual(theirs.requestBody.content["application/json"].schema);
  expect(schemaOf(ours.responses[201])).toEqual({ $ref: "#/components/schemas/Asset" });
  for (const status of Object.keys(theirs.responses).filter((status) => status !== "201")) {
    // The specification's schema, with the codes of this status.
    expect(resolved(schemaOf(ours.responses[status])).allOf[0], status).toEqual({ $ref: "#/components/schemas/ErrorResponse" });
  }
  for (const parameter of theirs.parameters) {
    const ourParameter = ours.parameters.find((one: any) => one.name === parameter.name);
    expect(ourParameter).toMatchObject({ in: parameter.in, required: parameter.required });
    expect(ourParameter.schema.title).toBe(parameter.schema.title);
  }
  expect(openapi.security).toEqual(seed.security);
  expect(openapi.components.securitySchemes.HTTPBearer).toMatchObject(seed.components.securitySchemes.HTTPBearer);
});

test("every schema of the specification has its counterpart", () => {
  expect(Object.keys(NAMES)).toEqual(Object.keys(seed.components.schemas));
});

test.each(Object.entries(NAMES))("their %s is our %s, with the same fields, titles and types, or stricter ones", (name, ourName) => {
  const theirs = seed.components.schemas[name];
  const ours = openapi.components.schemas[ourName];
  expect(Object.keys(ours.properties).sort()).toEqual(Object.keys(theirs.properties).sort());
  expect([ours.title, ours.type]).toEqual([ourName, theirs.type]);
  expect(ours.additionalProperties).toBe(theirs.additionalProperties);
  expect(ours.required ?? []).toEqual(expect.arrayContaining(theirs.required ?? []));
  for (const [field, schema] of Object.entries<any>(theirs.properties)) {
    expect(ours.properties[field].title, field).toBe(schema.title);
    const permitted = typesOf(seed, schema);
    for (const type of typesOf(openapi, ours.properties[field])) {
      expect(permitted.some((one) => one === type || type.startsWith(`${one}:`)), `${field}: ${type}`).toBe(true);
    }
  }
});

test("our examples of assets, errors and confirmations are what the specification says", () => {
  const examples: [schema: string, example: string, value: unknown][] = [];
  for (const { operation } of operations()) {
    for (const [status, response] of Object.entries<any>(operation.responses)) {
      const isAsset = schemaOf(response)?.$ref === "#/components/schemas/Asset";
      const name = isAsset ? "models__asset__Asset__FullValidator" : Number(status) >= 400 ? "ErrorResponse" : undefined;
      if (!name) continue;
      const found = examplesOf(resolved(response).content["application/json"]);
      expect(found, `${operation.operationId} ${status}`).not.toHaveLength(0);
      for (const { name: example, value } of found) examples.push([name, `${operation.operationId} ${status} ${example}`, value]);
    }
  }
  const { content } = openapi.paths[PATH].post.requestBody;
  for (const { name, value } of examplesOf(content["application/json"])) examples.push(["ConfirmAssetUploadRequest", name, value]);
  expect(new Set(examples.map(([name]) => name)).size).toBe(3);
  for (const [name, example, value] of examples) expect([example, seedErrorsOf(name, value)]).toEqual([example, null]);
});

test("a real 201 and a real error of every documented status are valid by the specification", async () => {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" });
  const viewer = await createPerson(server, { [org]: "viewer" });
  const upload = await createUpload(server, org, editor);
  const answers = [
    await confirm(server, upload, { as: editor }),
    await confirm(server, upload, { as: editor, body: "nonsense" }),
    await confirm(server, upload, {}),
    await confirm(server, upload, { as: viewer }),
    await confirm(server, randomUUID(), { as: editor }),
    await confirm(server, upload, { as: editor }),
    await confirm(server, upload, { as: editor, body: '{"folder_id": 1, "x": 2}' }),
    await confirm(server, await createUpload(server, org, editor), { as: editor, faults: [{ call: "BUCKET.head", how: "throw", message: "head: out (10020)" }] }),
  ];
  const documented = Object.keys(seed.paths[PATH].post.responses).map(Number);
  expect(answers.map((answer) => answer.status)).toEqual(documented);
  for (const { status, json } of answers) expect([status, seedErrorsOf(seedSchemaOf(status), json)]).toEqual([status, null]);
  expect(Object.keys(answers[0]!.json).sort()).toEqual(Object.keys(seed.components.schemas.models__asset__Asset__FullValidator.properties).sort());
  expect(Object.keys(answers[0]!.json.created_by_user).sort()).toEqual([...seed.components.schemas.EmbedValidator.required].sort());
});

test("real assets of every kind are valid by the specification and by openapi.json", async () => {
  const org = await createOrganization(server);
  const named = await createPerson(server, { [org]: "editor" }, { first_name: "Ada" });
  const nameless = await createPerson(server, { [org]: "owner" });
  const kinds = [];
  for (const [mime, by] of [["image/png", named], ["video/mp4", nameless], ["audio/mpeg", named], ["application/pdf", nameless], ["application/zip", named]] as const) {
    const upload = await createUpload(server, org, by, { mime });
    const folder_id = by === named ? await createFolder(server, org, by) : null;
    const headers = { "idempotency-key": upload };
    const answers = [
      await confirm(server, upload, { as: by, headers, body: JSON.stringify({ folder_id }) }),
      await confirm(server, upload, { as: by, headers, body: JSON.stringify({ folder_id }) }),
      await server.request("GET", `/v1/assets/${upload}`, { as: by }),
      await server.request("GET", `/v1/assets/${upload}?embed=created_by_user`, { as: by }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 200, 200]);
    for (const { json } of answers) {
      expect([mime, seedErrorsOf("models__asset__Asset__FullValidator", json)]).toEqual([mime, null]);
      expect([mime, errorsOf({ $ref: "#/components/schemas/Asset" }, json)]).toEqual([mime, null]);
    }
    kinds.push(answers[0]!.json.asset_type);
  }
  expect(kinds).toEqual(["image", "video", "audio", "document", "file"]);
});
