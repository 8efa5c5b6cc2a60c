/** The client against the real server: answers, problems, waiting after 503, and its size. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import ts from "typescript";
import { type Client, connect, ServerProblem } from "../../../src/client/index.ts";
import { Predictor } from "../../../src/library/index.ts";
import type { RunningServer } from "../../../src/serve/index.ts";
import { type ServedPlace, served, servedPlace } from "../../support/served.ts";

const token = "a-token-of-this-test";
let place: ServedPlace;
let server: RunningServer;
let client: Client;

before(async () => {
  place = await servedPlace();
  server = await served([place.routed, place.single], { token });
  client = connect(server.url, { token });
});

after(() => server.close());

const photo = (name: string) => new Uint8Array(readFileSync(join(place.images, name)));

test("one image, several, and a bad one among them", async () => {
  using predictor = await Predictor.open(place.routed);
  const expected = await predictor.predict(join(place.images, "square/1.png"), { k: 1 });
  const one = await client.predict(photo("square/1.png"), { k: 1, explain: true, top: 2 });
  assert.deepEqual([one.label, one.pathway.length, one.top.length], [expected.label, 1, 2]);
  assert.equal(one.explanation?.opinions.length, 1);
  const [first, bad] = await client.predictEach([new Blob([photo("square/1.png")]), new Blob(["no image"])], { k: 1 });
  assert.equal(first && "label" in first && first.label, expected.label);
  assert.equal(bad && "problem" in bad && bad.problem.status, 422);
  assert.deepEqual(
    (await client.models()).map(({ name }) => name),
    ["routed", "single"],
  );
});

test("a refusal is an error with the problem", async () => {
  const refused = (status: number, field: string) => (error: unknown) => {
    assert.ok(error instanceof ServerProblem);
    assert.deepEqual([error.problem.status, error.problem.field], [status, field]);
    assert.equal(error.message, error.problem.detail);
    return true;
  };
  await assert.rejects(client.predict(photo("square/1.png"), { k: 7 }), refused(422, "k"));
  await assert.rejects(client.predict(new Uint8Array(3)), refused(422, "body"));
  await assert.rejects(connect(server.url).models(), refused(401, "authorization"));
});

test("after 503 it waits as long as the server says and tries again", async () => {
  const answers = [503, 503, 200];
  const asked: string[] = [];
  const fake: typeof fetch = async (url) => {
    asked.push(String(url));
    const status = answers.shift() ?? 500;
    return new Response(status === 200 ? '{"models":[]}' : "{}", { status, headers: { "retry-after": "0.01" } });
  };
  assert.deepEqual(await connect("http://host/prefix", { fetch: fake }).models(), []);
  assert.deepEqual(asked, Array(3).fill("http://host/prefix/models"));
  answers.push(503, 503);
  await assert.rejects(connect("http://host", { fetch: fake, retries: 1 }).models(), /the server answered 503/);
});

test("it imports nothing that runs, and is small", () => {
  const source = readFileSync(new URL("../../../src/client/index.ts", import.meta.url), "utf8");
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    removeComments: true,
    verbatimModuleSyntax: true,
  };
  const { outputText } = ts.transpileModule(source, { compilerOptions });
  assert.doesNotMatch(outputText, /^import|require\(/m);
  assert.ok(gzipSync(outputText).length < 2048, `${gzipSync(outputText).length} bytes`);
});
