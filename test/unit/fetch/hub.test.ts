import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type FetchOptions, fetchSource, type HubSource, parseSource } from "../../../src/fetch/index.ts";
import { hubCacheDirectory, hubEndpoint, hubToken, isOffline } from "../../../src/fetch/settings.ts";
import { partsOf } from "../../../src/hub/adding/inspect.ts";
import { UserError } from "../../../src/torch/index.ts";
import { FileServer, gitHash, serveRepository, sha256 } from "../../support/file-server.ts";
import { afterEach, beforeEach } from "../../support/hooks.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const weights = randomBytes(200_000);
const contents = { "model.safetensors": weights, "config.json": '{"a":1}', "README.md": "text" };
const commit = "0123456789abcdef0123456789abcdef01234567";
const folder = temporaryFolder();
const variables = { ...process.env };
let server: FileServer;
let cacheDir: string;

beforeEach(async () => {
  server = await FileServer.start();
  cacheDir = fs.mkdtempSync(join(folder, "cache-"));
  for (const name of Object.keys(process.env))
    if (/^HF_|HUGGING|OFFLINE|XDG_CACHE/.test(name)) delete process.env[name];
  process.env["HF_HOME"] = join(cacheDir, "home");
});

afterEach(async () => {
  process.env = { ...variables };
  await server.stop();
});

function fetched(text: string, options: FetchOptions = {}) {
  const timing = { stallMs: 3000, attempts: 3, backoffMs: 2 };
  return fetchSource(parseSource(text) as HubSource, partsOf, {
    cacheDir,
    endpoint: server.origin,
    timing,
    ...options,
  });
}

const refusal = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.match(error.message, pattern);
  return true;
};

/** Every file and link below a folder, with a link's target. */
function layout(root: string): Record<string, string> {
  const all: Record<string, string> = {};
  for (const name of fs.readdirSync(root, { recursive: true, encoding: "utf8" }).sort()) {
    const stat = fs.lstatSync(join(root, name));
    if (stat.isSymbolicLink()) all[name] = `-> ${fs.readlinkSync(join(root, name))}`;
    else if (stat.isFile()) all[name] = fs.readFileSync(join(root, name), "latin1");
  }
  return all;
}

const repository = () => join(cacheDir, "models--owner--name");

test("the cache has the layout of huggingface_hub: refs, blobs by ETag, relative links from snapshots", async () => {
  serveRepository(server, "owner/name", { "onnx/deep/model.pth": weights, "config.json": "{}" });
  const got = await fetched("hf:owner/name/onnx/deep");
  assert.deepEqual(layout(repository()), {
    "refs/main": commit,
    [`blobs/${sha256(weights)}`]: weights.toString("latin1"),
    [`blobs/${gitHash("{}")}`]: "{}",
    [`snapshots/${commit}/onnx/deep/model.pth`]: `-> ../../../../blobs/${sha256(weights)}`,
    [`snapshots/${commit}/config.json`]: `-> ../../blobs/${gitHash("{}")}`,
  });
  assert.deepEqual(got.main, {
    path: join(repository(), "snapshots", commit, "onnx/deep/model.pth"),
    name: "onnx/deep/model.pth",
    sha256: sha256(weights),
    bytes: weights.length,
    url: `${server.origin}/owner/name/resolve/${commit}/onnx/deep/model.pth`,
  });
  assert.equal(got.revision, commit);
  assert.equal(got.config?.sha256, sha256("{}"));
  assert.deepEqual(got.parts, []);
});

test("revisions with slashes lie below refs, a commit has no ref, and a known blob is not fetched twice", async () => {
  serveRepository(server, "owner/name", contents, { revision: "refs/pr/1" });
  await fetched("hf:owner/name@refs/pr/1");
  const other = "f".repeat(40);
  serveRepository(server, "owner/name", contents, { revision: other, commit: other });
  const before = server.asked.length;
  await fetched(`hf:owner/name@${other}`);
  assert.equal(server.asked.length, before + 2, "only the revision and the list are asked for");
  assert.deepEqual(fs.readdirSync(join(repository(), "refs"), { recursive: true }).sort(), [
    "refs",
    "refs/pr",
    "refs/pr/1",
  ]);
  assert.deepEqual(fs.readdirSync(join(repository(), "snapshots")).sort(), [commit, other]);
});

test("copies stand in for links where links cannot be, and serve offline", async () => {
  process.env["HF_HUB_DISABLE_SYMLINKS"] = "1";
  serveRepository(server, "owner/name", contents);
  const { main } = await fetched("hf:owner/name");
  assert.ok(fs.lstatSync(main.path).isFile());
  // As Python leaves it on such a system: the blob itself is moved.
  fs.rmSync(join(repository(), "blobs"), { recursive: true });
  const before = server.asked.length;
  await fetched("hf:owner/name");
  assert.equal(server.asked.length, before + 2);
  assert.equal((await fetched("hf:owner/name", { offline: true })).main.sha256, sha256(weights));
});

test("offline finds what was fetched by name, tag or commit, and names what is missing", async () => {
  await assert.rejects(
    fetched("hf:owner/name", { offline: true }),
    refusal(/"main" is not in .*models--owner--name.*--offline/),
  );
  serveRepository(server, "owner/name", contents);
  const online = await fetched("hf:owner/name");
  const asked = server.asked.length;
  process.env["HF_HUB_OFFLINE"] = "1";
  assert.deepEqual(await fetched("hf:owner/name"), online);
  assert.deepEqual(await fetched(`hf:owner/name@${commit}`), online);
  await assert.rejects(fetched("hf:owner/name@v2"), refusal(/"v2" is not in/));
  await assert.rejects(fetched("hf:owner/name/other.onnx"), refusal(/has no "other\.onnx"; it has model\.safetensors/));
  assert.equal(server.asked.length, asked);
});

test("a damaged blob is refused offline and fetched again online", async () => {
  serveRepository(server, "owner/name", contents);
  const { main } = await fetched("hf:owner/name");
  const config = join(repository(), "blobs", gitHash(contents["config.json"]));
  fs.writeFileSync(config, '{"a":2}');
  await assert.rejects(fetched("hf:owner/name", { offline: true }), refusal(/config\.json is damaged: its git hash/));
  fs.truncateSync(fs.realpathSync(main.path), 10);
  await assert.rejects(
    fetched("hf:owner/name", { offline: true }),
    refusal(/model\.safetensors is damaged: its sha256/),
  );
  assert.equal((await fetched("hf:owner/name")).main.sha256, sha256(weights));
  assert.equal(fs.readFileSync(config, "utf8"), '{"a":1}');
  fs.rmSync(main.path);
  fs.writeFileSync(main.path, "something else");
  assert.equal(sha256(fs.readFileSync((await fetched("hf:owner/name")).main.path)), sha256(weights));
});

test("parts come along: shards by their index, external data, shards of TensorFlow.js", async () => {
  const index = {
    weight_map: {
      a: "model-00001-of-00002.safetensors",
      b: "model-00002-of-00002.safetensors",
      c: "model-00001-of-00002.safetensors",
    },
  };
  serveRepository(server, "a/sharded", {
    "model.safetensors.index.json": JSON.stringify(index),
    "model-00001-of-00002.safetensors": "one",
    "model-00002-of-00002.safetensors": "two",
    "preprocessor_config.json": "{}",
  });
  const sharded = await fetched("hf:a/sharded");
  assert.deepEqual(
    sharded.parts.map(({ name }) => name),
    Object.values(index.weight_map).slice(0, 2),
  );
  assert.equal(sharded.preprocessor?.name, "preprocessor_config.json");
  assert.equal(sharded.config, undefined);
  const weightsManifest = [{ paths: ["./group1.bin", "sub/group2.bin"], weights: [] }];
  serveRepository(server, "a/tfjs", {
    "web/model.json": JSON.stringify({ weightsManifest }),
    "web/group1.bin": "one",
    "web/sub/group2.bin": "two",
  });
  const web = await fetched("hf:a/tfjs/web");
  assert.deepEqual(
    web.parts.map(({ name }) => name),
    ["web/group1.bin", "web/sub/group2.bin"],
  );
  serveRepository(server, "a/onnx", { "onnx/model.onnx": externalModel("weights.data"), "onnx/weights.data": "three" });
  const onnx = await fetched("hf:a/onnx");
  assert.deepEqual(
    onnx.parts.map(({ name, sha256: hash }) => [name, hash]),
    [["onnx/weights.data", sha256("three")]],
  );
  assert.deepEqual(await fetched("hf:a/onnx", { offline: true }), onnx);
});

/** An ONNX file with one tensor that lies elsewhere: ModelProto.graph.initializer.external_data. */
function externalModel(location: string): Buffer {
  const field = (number: number, bytes: Buffer) => Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
  const entry = Buffer.concat([field(1, Buffer.from("location")), field(2, Buffer.from(location))]);
  return field(7, field(5, field(13, entry)));
}

test("a model that names missing files, or files outside its folder, is refused", async () => {
  const manifest = (path: unknown) => JSON.stringify({ weightsManifest: [{ paths: [path], weights: [] }] });
  const cases: [string, string | Uint8Array, RegExp][] = [
    [
      "model.json",
      manifest("gone.bin"),
      /gone\.bin of hf:a\/b is named by the model, but the repository does not have it/,
    ],
    [
      "model.json",
      manifest("../../../../etc/passwd"),
      /names the file "..\/..\/..\/..\/etc\/passwd", which is not a path inside/,
    ],
    ["model.json", manifest("/etc/passwd"), /not a path inside/],
    ["model.json", manifest("..\\x"), /not a path inside/],
    ["model.json", manifest("http://127.0.0.1/x"), /not a path inside/],
    ["model.json", manifest(7), /is no text/],
    ["model.json", "[", /not JSON/],
    ["model.json", "{}", /no "weightsManifest"/],
    ["model.safetensors.index.json", '{"weight_map":3}', /no "weight_map"/],
    ["model.safetensors.index.json", '{"weight_map":{"a":"../a.safetensors"}}', /not a path inside/],
    ["model.onnx", externalModel("../x"), /not a path inside/],
    ["model.onnx", "not onnx", /not a valid ONNX file/],
  ];
  for (const [name, body, pattern] of cases) {
    cacheDir = fs.mkdtempSync(join(folder, "cache-"));
    serveRepository(server, "a/b", { [name]: body });
    await assert.rejects(fetched("hf:a/b"), refusal(pattern), `${name}: ${String(body)}`);
  }
});

test("parts of a model fetched by address come from its folder alone", async () => {
  const model = (path: string) => JSON.stringify({ weightsManifest: [{ paths: [path], weights: [] }] });
  server.serve("/m/model.json", { body: model("shards/a b#1.bin") });
  server.serve("/m/shards/a%20b%231.bin", { body: "shard" });
  const { main, parts } = await fetched(`${server.origin}/m/model.json`);
  assert.deepEqual([parts[0]?.name, parts[0]?.sha256, parts.length], ["shards/a b#1.bin", sha256("shard"), 1]);
  assert.equal(fs.readFileSync(join(main.path, "../shards/a b#1.bin"), "utf8"), "shard");
  assert.equal((await fetched(`${server.origin}/m/model.json`, { offline: true })).parts.length, 1);
  server.serve("/m/model.json", { body: model("../secret") });
  await assert.rejects(fetched(`${server.origin}/m/model.json`), refusal(/not a path inside/));
  assert.ok(server.asked.every(({ path }) => !path.includes("secret")));
});

test("what is refused by the Hub is explained with what to do", async () => {
  const revision = "/api/models/owner/name/revision/main";
  const cases: [number, string, string, RegExp][] = [
    [403, "GatedRepo", "hf_x", /gated: accept the conditions at .*\/owner\/name .*HF_TOKEN/],
    [401, "GatedRepo", "", /gated: accept the conditions/],
    [401, "RepoNotFound", "", /no public repository owner\/name.*check the name.*HF_TOKEN/],
    [401, "", "hf_x", /token is not accepted for owner\/name/],
    [404, "RepoNotFound", "hf_x", /there is no repository owner\/name/],
    [404, "RevisionNotFound", "hf_x", /owner\/name has no revision "main"/],
  ];
  for (const [status, code, token, pattern] of cases) {
    server.serve(revision, { status, headers: code === "" ? {} : { "x-error-code": code } });
    await assert.rejects(fetched("hf:owner/name", { token }), refusal(pattern), `${status} ${code}`);
  }
  const repo = serveRepository(server, "owner/name", contents);
  repo.files.get("model.safetensors")!.failures = [404];
  repo.files.get("model.safetensors")!.headers = { "x-error-code": "EntryNotFound" };
  await assert.rejects(
    fetched("hf:owner/name"),
    refusal(/model\.safetensors of hf:owner\/name .*file is not in owner\/name/),
  );
  repo.files.get("model.safetensors")!.failures = [403];
  repo.files.get("model.safetensors")!.headers = { "x-error-code": "GatedRepo" };
  await assert.rejects(fetched("hf:owner/name"), refusal(/gated/));
  repo.revision.failures = [429, 502];
  repo.tree.failures = [500];
  await fetched("hf:owner/name");
});

test("the token goes to the Hub with every question, and not to the storage it redirects to", async () => {
  const repo = serveRepository(server, "owner/name", contents);
  const storage = `/storage/${sha256(weights)}?signature=x`;
  Object.assign(repo.files.get("model.safetensors")!, { redirect: server.otherOrigin + storage });
  server.serve(storage, { body: weights, etag: '"storage"', cuts: [50_000, 50_000] });
  process.env["HF_TOKEN"] = " hf_secret\n";
  await fetched("hf:owner/name");
  for (const { path, headers } of server.asked) {
    assert.equal(headers.authorization, path === storage ? undefined : "Bearer hf_secret", path);
  }
  // Whether an attempt goes on or begins anew depends on what was read before the connection broke.
  assert.equal(server.requests(storage).length, 3);
});

test("a file that is not what the list says is refused and removed", async () => {
  for (const [path, other] of [
    ["model.safetensors", randomBytes(weights.length)],
    ["config.json", '{"a":3}'],
  ] as const) {
    const repo = serveRepository(server, "owner/name", contents);
    Object.assign(repo.files.get(path)!, { body: other });
    await assert.rejects(fetched("hf:owner/name"), refusal(/refused and was removed: its (sha256|git hash)/), path);
    assert.ok(!fs.readdirSync(join(repository(), "blobs")).some((name) => name.includes("incomplete")));
    Object.assign(repo.files.get(path)!, { body: `${other}more` });
    await assert.rejects(fetched("hf:owner/name"), refusal(/announces \d+ bytes where \d+ were expected/), path);
    Object.assign(repo.files.get(path)!, { chunked: true });
    await assert.rejects(fetched("hf:owner/name"), refusal(/longer than the \d+ bytes announced/), path);
    fs.rmSync(repository(), { recursive: true });
  }
  serveRepository(server, "owner/name", contents);
  const before = server.asked.length;
  await assert.rejects(
    fetched("hf:owner/name", { sha256: sha256("other") }),
    refusal(/is refused: its sha256.*replaced/),
  );
  assert.equal(server.asked.length, before + 2, "known from the list, before it is fetched");
  await fetched("hf:owner/name", { sha256: sha256(weights) });
});

test("a file that ends too early without a word is resumed", async () => {
  const repo = serveRepository(server, "owner/name", contents);
  const served = repo.files.get("model.safetensors")!;
  Object.assign(served, { body: weights.subarray(0, 70_000), chunked: true });
  served.before = (_, requests) => requests === 2 && Object.assign(served, { body: weights });
  assert.equal((await fetched("hf:owner/name")).main.sha256, sha256(weights));
  const asked = server.requests(`/owner/name/resolve/${commit}/model.safetensors`);
  assert.deepEqual(
    asked.map(({ headers }) => headers.range),
    [undefined, "bytes=70000-"],
  );
});

test("hostile lists: names that leave the folder, wrong hashes, wrong types, other answers", async () => {
  const repo = serveRepository(server, "owner/name", contents);
  const file = { type: "file", oid: "a".repeat(40), size: 3, path: "model.safetensors" };
  const paths = [
    "../../x.safetensors",
    "/etc/x.safetensors",
    "a\\..\\..\\x.safetensors",
    "C:/x.safetensors",
    "a//b",
    "a\0b",
    ".",
    "",
  ];
  for (const path of paths) {
    repo.tree.body = JSON.stringify([{ ...file, path }]);
    await assert.rejects(fetched("hf:owner/name"), refusal(/not a path inside its folder/), JSON.stringify(path));
  }
  const entries: unknown[] = [
    { ...file, oid: "../../../x" },
    { ...file, oid: "A".repeat(40) },
    { ...file, size: -1 },
    { ...file, size: 1e300 },
    { ...file, size: "3" },
    { ...file, path: 3 },
    { ...file, lfs: { oid: "b".repeat(63), size: 3 } },
    { ...file, lfs: { oid: "b".repeat(64), size: 0.5 } },
    null,
    "x",
  ];
  for (const entry of entries) {
    repo.tree.body = JSON.stringify([entry]);
    await assert.rejects(fetched("hf:owner/name"), refusal(/not the Hub's/), JSON.stringify(entry));
  }
  for (const body of ["<html>", "{}", "", "[".repeat(1e6), `[${"1,".repeat(2e5)}1]`, "x"]) {
    repo.tree.body = body;
    await assert.rejects(fetched("hf:owner/name"), refusal(/not the Hub's/), body.slice(0, 20));
  }
  repo.tree.body = " ".repeat(33e6);
  await assert.rejects(fetched("hf:owner/name"), refusal(/more than 32 MB/));
  for (const sha of ["../../..", "main", "", undefined]) {
    repo.revision.body = JSON.stringify({ sha });
    await assert.rejects(fetched("hf:owner/name"), refusal(/not the Hub's: sha/));
  }
  assert.deepEqual(fs.readdirSync(cacheDir), []);
});

test("a list in pages is read to its end, one without end is not, and no page is read elsewhere", async () => {
  const repo = serveRepository(server, "owner/name", contents);
  const entries = JSON.parse(String(repo.tree.body)) as unknown[];
  const tree = `/api/models/owner/name/tree/${commit}?recursive=true`;
  repo.tree.body = JSON.stringify(entries.slice(0, 1));
  repo.tree.headers = { link: `<${server.otherOrigin}${tree}&cursor=2>; rel="next"` };
  server.serve(`${tree}&cursor=2`, { body: JSON.stringify(entries.slice(1)) });
  process.env["HF_TOKEN"] = "hf_secret";
  await fetched("hf:owner/name");
  assert.ok(server.asked.every(({ headers }) => headers.host === new URL(server.origin).host));
  server.serve(`${tree}&cursor=2`, { body: "[]", headers: repo.tree.headers });
  await assert.rejects(fetched("hf:owner/name"), refusal(/more than 100 pages/));
});

test("sizes: more than allowed, and more than the disk holds", async () => {
  const repo = serveRepository(server, "owner/name", contents);
  await assert.rejects(fetched("hf:owner/name", { maximumBytes: 1000 }), refusal(/200000 bytes, more than the 1000/));
  const huge = {
    type: "file",
    oid: "a".repeat(40),
    size: 1,
    path: "model.safetensors",
    lfs: { oid: "b".repeat(64), size: 2 ** 52 },
  };
  repo.tree.body = JSON.stringify([huge]);
  await assert.rejects(fetched("hf:owner/name"), refusal(/announces 200000 bytes where 4503599627370496/));
});

test("the variables of huggingface_hub decide on folder, endpoint, token and network", () => {
  const home = process.env["HOME"] as string;
  delete process.env["HF_HOME"];
  assert.equal(hubCacheDirectory(), join(home, ".cache/huggingface/hub"));
  process.env["XDG_CACHE_HOME"] = "/x";
  assert.equal(hubCacheDirectory(), "/x/huggingface/hub");
  process.env["HF_HOME"] = "~/hf";
  assert.equal(hubCacheDirectory(), join(home, "hf/hub"));
  process.env["HUGGINGFACE_HUB_CACHE"] = "/old";
  assert.equal(hubCacheDirectory(), "/old");
  process.env["HF_HUB_CACHE"] = "/new";
  assert.equal(hubCacheDirectory(), "/new");
  assert.equal(hubEndpoint(), "https://huggingface.co");
  process.env["HF_ENDPOINT"] = "https://mirror.example/hub//";
  assert.equal(hubEndpoint(), "https://mirror.example/hub");
  process.env["HF_ENDPOINT"] = "mirror";
  assert.throws(() => hubEndpoint(), refusal(/HF_ENDPOINT is "mirror"/));
  process.env["HF_HOME"] = cacheDir;
  assert.equal(hubToken(), undefined);
  fs.writeFileSync(join(cacheDir, "token"), "hf_stored\n");
  assert.equal(hubToken(), "hf_stored");
  process.env["HF_TOKEN"] = "hf_variable";
  assert.equal(hubToken(), "hf_variable");
  process.env["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1";
  assert.equal(hubToken(), undefined);
  assert.equal(hubToken("hf_given"), "hf_given");
  assert.equal(isOffline(), false);
  process.env["HF_HUB_OFFLINE"] = "Yes";
  assert.equal(isOffline(), true);
});
