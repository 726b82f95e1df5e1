// openapi.json by itself: its examples are valid, each error lists the codes of its examples, and answers that differ from
// it do not pass the check. contract.spec.ts compares it with the user's specification.
import { expect, test } from "vitest";
import { checkAgainstOpenApi, checkEvent, codesOf, errorsOf, examplesOf, openapi, operations, resolved, schemaOf, webhookBodies } from "./openapi.ts";

const ASSET = { $ref: "#/components/schemas/Asset" };
const REQUEST = { $ref: "#/components/schemas/CreateAssetUploadRequest" };
const CONFIRM = "/v1/asset-uploads/{asset_upload_id}/confirmations";

const errors = operations().flatMap(({ path, method, operation }) =>
  Object.entries<any>(operation.responses)
    .filter(([status]) => Number(status) >= 400)
    .map(([status, response]) => ({ path, method, status: Number(status), response: resolved(response) })),
);

test.each(operations())("every example of $method $path is valid", ({ operation }) => {
  const body = operation.requestBody?.content["application/json"];
  for (const { name, value } of examplesOf(body)) expect([name, errorsOf(body.schema, value)]).toEqual([name, null]);
  for (const [status, response] of Object.entries<any>(operation.responses)) {
    for (const { name, value } of examplesOf(resolved(response).content?.["application/json"])) {
      expect([status, name, errorsOf(schemaOf(response)!, value)]).toEqual([status, name, null]);
    }
  }
});

test.each(Object.entries(webhookBodies))("an event %s is documented with a valid example, and with no other's type", (type, body) => {
  const { value } = examplesOf(body)[0]!;
  expect(value.type).toBe(type);
  expect(() => checkEvent(value)).not.toThrow();
  expect(errorsOf(body.schema, { ...value, type: "asset.renamed" })).toContain("must be equal to one of the allowed values");
  expect(() => checkEvent({ ...value, data: { ...value.data, url: "https://s3.example" } })).toThrow();
});

test.each(errors)("$method $path $status lists the codes of its examples, and an answer with another code does not pass", ({ path, method, status, response }) => {
  const examples = examplesOf(response.content["application/json"]).map(({ value }) => value);
  const codes = codesOf(response);
  expect([...new Set(examples.map(({ code }) => code))].sort()).toEqual(codes.toSorted());
  const check = (code: string) => () => checkAgainstOpenApi({ method: method.toUpperCase(), path, status, json: { ...examples[0], code } });
  for (const code of codes) expect(check(code), code).not.toThrow();
  for (const code of everyCode.filter((code) => !codes.includes(code))) expect(check(code), code).toThrow(/must be equal to one of the allowed values/);
});

const everyCode = [...new Set(["NOT_FOUND", ...errors.flatMap(({ response }) => codesOf(response))])];

test("a code has one status everywhere", () => {
  const pairs = new Set(errors.flatMap(({ status, response }) => codesOf(response).map((code) => `${code} ${status}`)));
  expect([...pairs].map((pair) => pair.split(" ")[0]).toSorted()).toEqual(everyCode.filter((code) => code !== "NOT_FOUND").toSorted());
});

test("an answer that is not documented does not pass", () => {
  const error = (code: string) => ({ code, message: "Something.", errors: null });
  const check = (method: string, path: string, status: number, json?: unknown) => () => checkAgainstOpenApi({ method, path, status, json });
  expect(check("GET", "/nothing", 404, error("NOT_FOUND"))).not.toThrow();
  expect(check("GET", "/nothing", 404, error("ASSET_NOT_FOUND"))).toThrow();
  expect(check("GET", "/nothing", 404, { code: "NOT_FOUND" })).toThrow();
  expect(check("GET", "/nothing", 401, error("UNAUTHORIZED"))).toThrow();
  expect(check("PATCH", "/v1/health", 405, error("METHOD_NOT_ALLOWED"))).not.toThrow();
  expect(check("PATCH", "/v1/health", 405, error("NOT_FOUND"))).toThrow();
  expect(check("GET", "/v1/health", 503, error("STORAGE_UNAVAILABLE"))).toThrow();
  expect(check("GET", "/v1/health", 200, { status: "up" })).toThrow();
});

test("an error has at most 100 entries", () => {
  const error = (entries: number) => ({ code: "VALIDATION_ERROR", message: "Something.", errors: Array(entries).fill({ loc: ["body"], msg: "Wrong.", type: "missing" }) });
  const schema = schemaOf(openapi.paths["/v1/asset-uploads"].post.responses[422])!;
  expect(errorsOf(schema, error(100))).toBeNull();
  expect(errorsOf(schema, error(101))).toContain("must NOT have more than 100 items");
});

test("an asset has all of its fields, and null only where there may be no value", () => {
  const { properties } = resolved(ASSET);
  const asset = examplesOf(openapi.paths[CONFIRM].post.responses[201].content["application/json"])[0]!.value;
  expect(Object.keys(asset)).toEqual(Object.keys(properties));
  for (const name of Object.keys(asset)) {
    const { [name]: _, ...rest } = asset;
    expect(errorsOf(ASSET, rest), name).toContain(`must have required property '${name}'`);
  }
  const nullable = Object.keys(asset).filter((name) => errorsOf(ASSET, { ...asset, [name]: null }) === null);
  expect(nullable).toEqual(["folder_id", "url", "thumbnail_url", "deleted_at", "deleted_by", "created_by_user"]);
  for (const [name, values] of [["asset_type", ["image", "video", "audio", "document", "file"]], ["source_type", ["upload"]]] as const) {
    for (const value of values) expect(errorsOf(ASSET, { ...asset, [name]: value }), value).toBeNull();
    expect(errorsOf(ASSET, { ...asset, [name]: "other" }), name).toContain("must be equal to one of the allowed values");
  }
});

// schemathesis sends every name that the schema permits, and expects success.
test("the schema permits the file names that the Worker accepts, and no others", () => {
  const errorsOfName = (filename: string) => errorsOf(REQUEST, { filename, mime_type: "image/png", size_bytes: 1 });
  const names = ["a", " ", "...", ".a", "..a", "a.", "sunrise.png", "Straße.txt", "日本.png", "שלום.pdf", "a\u200e", "\u2029", "\u202f", "\u2065", "\u206a", "\u00a0", "🦀".repeat(500)];
  for (const name of names) expect([name, errorsOfName(name)]).toEqual([name, null]);
  const between = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => String.fromCodePoint(first + i));
  const characters = ["/", "\\", ...between(0, 0x1f), ...between(0x7f, 0x9f), ...between(0x202a, 0x202e), ...between(0x2066, 0x2069)];
  const wrong = ["", ".", "..", "🦀".repeat(501), ...characters.flatMap((one) => [one, `a${one}`, `${one}.png`])];
  for (const name of wrong) expect([name, errorsOfName(name) === null]).toEqual([name, false]);
});
