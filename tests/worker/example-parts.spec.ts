// examples/upload.mjs sends a file in parts: it is killed twenty times, a part fails, the file changes.
import { appendFile, readdir, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { expectFailed, expectUploaded, GOING_ON, isOpen, isPut, MIB, PART, sentParts, setup, sortedParts, startPartsServer, storedParts } from "./example-parts.ts";

const server = startPartsServer();

test("200 MiB in 40 parts arrive although the client is killed twenty times", { timeout: 120_000 }, async () => {
  const made = await setup(server, { size: 200 * MIB });
  const { proxy, path } = made;
  let stored: number[] = [];
  for (let kill = 0; kill < 20; kill++) {
    // A random point, counted in bytes: never so many that the file is complete before the last kill.
    const after = proxy.received + Math.floor(Math.random() * Math.min(30 * MIB, (200 * MIB - stored.length * PART) / 2));
    const from = proxy.seen.length;
    const client = made.run();
    await new Promise<void>((resolve) => (proxy.onProgress = () => proxy.received >= after && resolve()));
    proxy.onProgress = () => {};
    const { status, stdout } = await client.kill();
    expect([status, stdout]).toEqual([null, ""]);
    expect(sentParts(made, from).filter((part) => stored.includes(part))).toEqual([]);
    const now = await storedParts(made);
    expect(now).toEqual(expect.arrayContaining(stored));
    stored = now;
    if (now.length > 0) expect((await stat(`${path}.upload.json`)).mode & 0o777).toBe(0o600);
  }
  expect(stored.length).toBeGreaterThan(0);
  expect(stored.length).toBeLessThan(40);
  const from = proxy.seen.length;
  const ended = await made.run().ended;
  const missing = Array.from({ length: 40 }, (_, at) => at + 1).filter((part) => !stored.includes(part));
  expect(sortedParts(made, from)).toEqual(missing);
  await expectUploaded(made, ended, `{file}: going on with ${stored.length} of 40 parts in storage\n`);
  // All runs were one upload.
  expect(await server.sql("SELECT count(*) AS n FROM asset_uploads WHERE created_by = ?", made.editor.userId)).toEqual([{ n: 1 }]);
});

test("without faults each part is sent once, and nothing is said", async () => {
  const made = await setup(server);
  await expectUploaded(made, await made.run().ended);
  expect(sortedParts(made)).toEqual([1, 2, 3]);
  expect(made.proxy.steps()).toEqual(["start", "sign", "put", "put", "put", "complete", "confirm"]);
  expect(made.proxy.seen.filter(isPut).map(({ headers }) => Number(headers["content-length"])).sort()).toEqual([3, PART, PART]);
});

test("a file of one byte goes as one part with --multipart", async () => {
  const made = await setup(server, { size: 1 });
  await expectUploaded(made, await made.run().ended);
  expect(made.proxy.steps()).toEqual(["start", "sign", "put", "complete", "confirm"]);
});

// Every fault of a part: tests/client/parts.spec.ts.
describe("one part fails, and is sent again by itself:", () => {
  test("the connection breaks", async () => {
    const made = await setup(server, { faults: [{ step: "put", path: "partNumber=2&", how: "cut while sending" }] });
    await expectUploaded(made, await made.run().ended);
    expect(sortedParts(made)).toEqual([1, 2, 2, 3]);
  });

  test("without end: the others are in storage, and the next run sends this one", async () => {
    const made = await setup(server, { faults: [{ step: "put", path: "partNumber=2&", how: { answer: { status: 503 } }, times: 5 }] });
    await expectFailed(made, await made.run().ended, "storage did not take part 2: 503\n  2 of 3 parts are in storage; run the same command again to send the others");
    const from = made.proxy.seen.length;
    await expectUploaded(made, await made.run().ended, GOING_ON);
    expect(made.proxy.steps().slice(from)).toEqual(["status", "sign", "put", "complete", "confirm"]);
    expect(sentParts(made, from)).toEqual([2]);
  });
});

test("a new URL that is refused as well is an error", async () => {
  const answer = { status: 403, body: "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>" };
  const made = await setup(server, { faults: [{ step: "put", path: "partNumber=2&", how: { answer }, times: 2 }] });
  const sentence = "storage did not take part 2: 403 AccessDenied: Access Denied\n  2 of 3 parts are in storage; run the same command again to send the others";
  await expectFailed(made, await made.run().ended, sentence);
  expect(sortedParts(made)).toEqual([1, 2, 2, 3]);
});

describe("the file changes while it is sent", () => {
  const CHANGED = "{file} changed while it was sent; nothing was recorded\n  the upload was cancelled; run the same command again to send the whole file anew";
  const cases: [string, (path: string) => Promise<unknown>, string[]][] = [
    ["it grows", (path) => appendFile(path, "more"), ["film.mp4"]],
    ["it vanishes", (path) => rm(path), []],
  ];
  test.each(cases)("%s", async (_, change, left) => {
    let path = "";
    const made = await setup(server, { faults: [{ step: "put", path: "partNumber=2&", how: "cut while sending", meanwhile: () => change(path) }] });
    ({ path } = made);
    await expectFailed(made, await made.run().ended, CHANGED);
    expect(await readdir(dirname(path))).toEqual(left);
    expect(made.proxy.steps().at(-1)).toBe("cancel");
    expect(made.proxy.seen.at(-1)!.status).toBe(204);
    const [, id, multipartId] = made.proxy.seen.find(isPut)!.path.match(/uploads\/([0-9a-f-]{36})\?.*uploadId=([^&]+)/)!;
    expect(await isOpen(made, id!, decodeURIComponent(multipartId!))).toBe(false);
  });
});
