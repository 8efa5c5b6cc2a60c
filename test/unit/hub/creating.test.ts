/** Hubs of published networks: everything that goes wrong on the way, against a server on this machine. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  addMember,
  type CreateRequest,
  createHub,
  type Outcome,
  openHub,
  type PresetMember,
  planHub,
  readManifest,
  verifyHub,
} from "../../../src/hub/index.ts";
import { writeSafetensors } from "../../../src/io/index.ts";
import { createBackbone } from "../../../src/models/index.ts";
import { ConfigError, Generator, Interrupted, memory, scope, UserError } from "../../../src/torch/index.ts";
import { FileServer, serveRepository, sha256 } from "../../support/file-server.ts";
import { beforeEach } from "../../support/hooks.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const folder = temporaryFolder();
let server: FileServer;
let weights: Buffer;
let hub: string;
let cacheDir: string;
let count = 0;

before(async () => {
  server = await FileServer.start();
  const path = join(folder, "model.safetensors");
  using generator = new Generator(3);
  using backbone = createBackbone("resnet", { layers: [1, 1], width: 16, stem: "small" }, { generator });
  scope(() => writeSafetensors(path, backbone.stateDict()));
  weights = fs.readFileSync(path);
});

after(() => server.stop());

beforeEach(() => {
  [hub, cacheDir] = [join(folder, `hub-${++count}`), join(folder, `cache-${count}`)];
  server.asked.length = 0;
});

const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

/** A published network of that name, whose file the server has under /NAME.safetensors unless `more` says otherwise. */
function network(name: string, more: Partial<PresetMember> = {}): PresetMember {
  return {
    name,
    network: name,
    source: `${server.origin}/${name}.safetensors`,
    bytes: weights.length,
    architecture: "resnet",
    parameters: weights.length / 4,
    flops: 1,
    input: { size: 24, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], interpolation: "bicubic" },
    data: `data of ${name}`,
    paradigm: "self-supervised",
    licence: "MIT",
    paper: "none",
    ...more,
  };
}

function serve(name: string, more: Parameters<FileServer["serve"]>[1] = {}) {
  return server.serve(`/${name}.safetensors`, { body: weights, ...more });
}

function request(members: PresetMember[], more: Partial<CreateRequest> = {}): CreateRequest {
  const timing = { attempts: 1, backoffMs: 1 };
  const preset = { name: "test", summary: "a test", members };
  return { hub, preset, fetch: { cacheDir, endpoint: server.origin, timing }, ...more };
}

/** Plans and makes a hub; no tensors are left. */
async function create(members: PresetMember[], more: Partial<CreateRequest> = {}): Promise<Outcome[]> {
  const { handles } = memory();
  const outcomes = await createHub(await planHub(request(members, more)));
  assert.equal(memory().handles, handles);
  return outcomes;
}

const reasons = (outcomes: readonly Outcome[]): (string | undefined)[] =>
  outcomes.map((outcome) => ("reason" in outcome ? outcome.reason : undefined));
const members = (): string[] => readManifest(hub).members.map(({ name }) => name);

/** A plan that is refused before anything is asked of the server or written. */
async function refused(kind: typeof UserError, pattern: RegExp, asked: CreateRequest): Promise<void> {
  const there = fs.existsSync(hub);
  await assert.rejects(planHub(asked), (error: unknown) => {
    assert.ok(error instanceof kind, String(error));
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
  assert.deepEqual(server.asked, []);
  assert.equal(fs.existsSync(hub), there);
  assert.ok(!fs.existsSync(cacheDir));
}

test("members come from addresses and repositories, by hashes that are whole or begun, and a second time nothing is fetched", async () => {
  const repository = serveRepository(server, "timm/third", { "model.safetensors": weights });
  serve("first");
  serve("second");
  const list = [
    network("first", { sha256: sha256(weights).slice(0, 8), licence: "Apache-2.0" }),
    network("second", { md5: md5(weights).slice(0, 6) }),
    network("third", { source: "hf:timm/third/model.safetensors" }),
  ];
  assert.deepEqual(reasons(await create(list)), [undefined, undefined, undefined]);
  const [first, , third] = readManifest(hub).members;
  assert.deepEqual(members(), ["first", "second", "third"]);
  assert.deepEqual(first?.input, { kind: "image", ...network("first").input, channelOrder: "rgb" });
  assert.deepEqual(first?.pretraining, { data: "data of first", paradigm: "self-supervised" });
  assert.equal(first?.licence, "Apache-2.0");
  assert.match(third?.source ?? "", new RegExp(`^hf:timm/third/model\\.safetensors .* commit ${repository.commit}`));
  assert.ok(verifyHub(openHub(hub)).every(({ problems }) => problems.length === 0));

  server.asked.length = 0;
  const again = await planHub(request(list));
  assert.deepEqual([again.missing, again.present, again.bytes], [[], list.map(({ name }) => ({ name })), 0]);
  assert.deepEqual(await createHub(again), []);
  fs.rmSync(hub, { recursive: true });
  assert.deepEqual(reasons(await create(list.slice(0, 2))), [undefined, undefined], "from the cache");
  assert.deepEqual(server.asked, []);
});

test("a wrong hash leaves its member out, names another place of the weights, and the others follow", async () => {
  serve("good");
  for (const [kind, hash] of [
    ["sha256", sha256("other").slice(0, 8)],
    ["md5", md5(Buffer.from("other")).slice(0, 8)],
  ] as const) {
    serve(kind);
    const alternative = { source: `${server.origin}/good.safetensors` };
    const list = [network(kind, { [kind]: hash, alternative }), network("good")];
    const [outcome, other] = await create(list);
    assert.match(
      reasons([outcome as Outcome])[0] ?? "",
      new RegExp(`its ${kind} is \\w+ instead of one that begins with ${hash}`),
    );
    assert.equal(outcome && "alternative" in outcome && outcome.alternative, alternative.source);
    assert.ok(other && "added" in other);
    assert.deepEqual(members(), ["good"]);
    assert.deepEqual(reasons(await create(list, { alternative: true })), [undefined], "only the missing one");
    assert.deepEqual(members(), ["good", kind]);
    fs.rmSync(hub, { recursive: true });
  }
});

/** Bytes of the file that is being fetched. */
function stored(): number {
  const names = fs.readdirSync(cacheDir, { recursive: true, encoding: "utf8" });
  const sizes = names.map((name) => (name.endsWith(".incomplete") ? size(join(cacheDir, name)) : 0));
  return Math.max(0, ...sizes);
}

const size = (path: string): number => fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;

test("half a file goes on where it ended, the next time", async () => {
  const etag = '"v1"';
  serve("cut", { cuts: [1000], etag, stored });
  serve("good");
  const list = [network("cut", { sha256: sha256(weights).slice(0, 8) }), network("good")];
  const [reason] = reasons(await create(list));
  assert.match(reason ?? "", /cut\.safetensors could not be fetched \(tried once\): .*; try again later/);
  assert.deepEqual(members(), ["good"]);
  server.asked.length = 0;
  assert.deepEqual(reasons(await create(list)), [undefined]);
  assert.match(server.requests("/cut.safetensors")[0]?.headers.range ?? "", /^bytes=[1-9]\d*-$/);
  assert.deepEqual(members(), ["good", "cut"]);
});

test("an address that is gone names the other place, which --alternative takes with its own hash", async () => {
  serve("mirror");
  const mirror = { source: `${server.origin}/mirror.safetensors`, sha256: sha256(weights).slice(0, 10) };
  const gone = network("gone", { sha256: "0".repeat(8), alternative: mirror });
  const [outcome] = await create([gone]);
  assert.ok(outcome && "reason" in outcome);
  assert.match(outcome.reason, /gone\.safetensors could not be fetched: there is no such file \(HTTP 404\)/);
  assert.equal(outcome.alternative, mirror.source);
  assert.ok(!fs.existsSync(hub), "no empty hub is left");
  assert.deepEqual(reasons(await create([gone], { alternative: true })), [undefined]);
  assert.match(readManifest(hub).members[0]?.source ?? "", /mirror\.safetensors/);
});

test("a licence that forbids commercial use is taken only when it is accepted", async () => {
  serve("free");
  serve("bound");
  const list = [network("free"), network("bound", { licence: "CC-BY-NC-4.0" })];
  const pattern = /licence of bound \(CC-BY-NC-4\.0\) forbids commercial use: .*--accept-licence, .* --only free$/;
  await refused(ConfigError, pattern, request(list));
  assert.deepEqual(reasons(await create(list, { only: ["free"] })), [undefined]);
  assert.deepEqual(reasons(await create(list, { acceptLicence: true })), [undefined]);
  assert.deepEqual((await planHub(request(list))).missing, [], "what is there needs no acceptance any more");
});

test("a disk without room is found before anything is fetched, and what is in the cache is not counted twice", async () => {
  serve("one");
  serve("two");
  const list = [network("one"), network("two")];
  const needed = 4 * weights.length;
  const free = (bytes: number) => ({ freeBytes: () => bytes });
  await refused(
    UserError,
    /has 0\.\d MB left, and 2 networks need about 0\.\d MB there/,
    request(list, free(needed - 1)),
  );
  await planHub(request(list, free(needed)));
  await create([network("one")]);
  fs.rmSync(hub, { recursive: true });
  await planHub(request(list, free(needed - weights.length)));
  await assert.rejects(planHub(request(list, free(needed - weights.length - 1000))), /left, and 2 networks need/);
});

test("a hub that is there keeps its members, also one of the same name from elsewhere; a file is no hub", async () => {
  for (const name of ["new", "same", "fetched-0123abcd"]) serve(name);
  const local = join(folder, "resnet-0123abcd.safetensors");
  fs.writeFileSync(local, weights);
  const wishes = { input: network("x").input };
  await addMember({ hub, name: "old", source: join(folder, "model.safetensors"), wishes });
  await addMember({ hub, name: "same", source: join(folder, "model.safetensors"), wishes });
  await addMember({ hub, name: "by-hand", source: local, wishes });
  const list = [
    network("new"),
    network("same"),
    network("by-hand", { source: `${server.origin}/weights/resnet-0123abcd.safetensors` }),
  ];
  const plan = await planHub(request(list));
  assert.match(plan.present[0]?.foreign ?? "", /^file model\.safetensors/);
  assert.deepEqual(plan.present[1], { name: "by-hand" }, "the published file, which the user fetched");
  await createHub(plan);
  assert.deepEqual(members(), ["old", "same", "by-hand", "new"]);

  const file = join(folder, `file-${count}`);
  fs.writeFileSync(file, "not a folder");
  await assert.rejects(planHub(request(list, { hub: file })), /cannot be a folder: .* is a file/);
});

test("stopped in the middle: what is added stays, and the same request goes on in the middle of the file", async () => {
  const stop = new AbortController();
  serve("first");
  serve("second", { trickleMs: 5, trickleBytes: 2000, etag: '"v"' });
  const list = [network("first"), network("second", { sha256: sha256(weights) }), network("third")];
  const onProgress = (done: number, _: unknown, file: string) => {
    if (file.startsWith("second") && done > 4000) stop.abort();
  };
  const asked = request(list);
  const plan = await planHub({ ...asked, fetch: { ...asked.fetch, signal: stop.signal, onProgress } });
  const told: string[] = [];
  await assert.rejects(
    createHub(plan, ({ member }) => told.push(member.name)),
    Interrupted,
  );
  assert.deepEqual([told, members()], [["first"], ["first"]]);
  serve("third");
  serve("second", { etag: '"v"' });
  server.asked.length = 0;
  await create(list);
  assert.deepEqual(members(), ["first", "second", "third"]);
  assert.match(server.requests("/second.safetensors")[0]?.headers.range ?? "", /^bytes=\d{4,}-$/);
  assert.deepEqual(server.requests("/first.safetensors"), []);
});
