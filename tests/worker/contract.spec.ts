// The user's specification of the confirm endpoint: what we publish agrees with it, and so do live answers.
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { type Answer, ROOT, world } from "./harness.ts";
import { openapi } from "./openapi.ts";

const w = world({ config: "tests/worker/faults.toml" });
const PATH = "/v1/asset-uploads/{asset_upload_id}/confirmations";
const page = readFileSync(new URL("tests/contract/confirm-endpoint.md", ROOT), "utf8");
const seed = parse(page.match(/````yaml [^\n]*\n(.*?)\n````/s)![1]!);

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(seed, "seed");
const pointer = (...parts: string[]) =>
  `seed#/${parts.map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")}`;

function expectValid(answer: Answer): void {
  const schema = ["paths", PATH, "post", "responses", String(answer.status), "content", "application/json", "schema"];
  const validate = ajv.getSchema(pointer(...schema))!;
  expect(validate(answer.json), JSON.stringify(validate.errors)).toBe(true);
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
  for (const [status, response] of Object.entries<any>(theirs.responses)) {
    expect(ours.responses[status].content["application/json"].schema.$ref).toBe(response.content["application/json"].schema.$ref);
  }
  for (const parameter of theirs.parameters) {
    const ourParameter = ours.parameters.find((one: any) => one.name === parameter.name);
    expect(ourParameter).toMatchObject({ in: parameter.in, required: parameter.required });
    expect(ourParameter.schema.title).toBe(parameter.schema.title);
  }
  expect(openapi.security).toEqual(seed.security);
  expect(openapi.components.securitySchemes.HTTPBearer).toMatchObject(seed.components.securitySchemes.HTTPBearer);
});

test.each(Object.keys(seed.components.schemas))("our schema %s has the same fields, titles and types, or stricter ones", (name) => {
  const theirs = seed.components.schemas[name];
  const ours = openapi.components.schemas[name];
  expect(Object.keys(ours.properties).sort()).toEqual(Object.keys(theirs.properties).sort());
  expect([ours.title, ours.type]).toEqual([theirs.title, theirs.type]);
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

test("a live 201 and a live error of every documented status are what the specification says", async () => {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  const viewer = await w.person({ [org]: "viewer" });
  const upload = await w.upload(org, editor);
  const answers = [
    await w.confirm(upload, { as: editor }),
    await w.confirm(upload, { as: editor, body: "nonsense" }),
    await w.confirm(upload, {}),
    await w.confirm(upload, { as: viewer }),
    await w.confirm(randomUUID(), { as: editor }),
    await w.confirm(upload, { as: editor }),
    await w.confirm(upload, { as: editor, body: '{"folder_id": 1, "x": 2}' }),
    await w.confirm(await w.upload(org, editor), { as: editor, faults: [{ call: "BUCKET.head", how: "throw", message: "head: out (10020)" }] }),
  ];
  const documented = Object.keys(seed.paths[PATH].post.responses).map(Number);
  expect(answers.map((answer) => answer.status)).toEqual(documented);
  answers.forEach(expectValid);
  expect(Object.keys(answers[0]!.json).sort()).toEqual(Object.keys(seed.components.schemas.models__asset__Asset__FullValidator.properties).sort());
  expect(Object.keys(answers[0]!.json.created_by_user).sort()).toEqual([...seed.components.schemas.EmbedValidator.required].sort());
});
