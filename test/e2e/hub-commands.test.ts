/** hub add, show, verify, rm, and training on what was added, as a user does it. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isImageMember, readManifest } from "../../src/hub/index.ts";
import { writeSafetensors } from "../../src/io/index.ts";
import { createBackbone } from "../../src/models/index.ts";
import { Generator, scope, zeros } from "../../src/torch/index.ts";
import { lastLine, runHere } from "../support/program.ts";
import { temporaryFolder, writeShapeImages } from "../support/small-hub.ts";

let folder: string;
let hub: string;
const program = fileURLToPath(new URL("../fixtures/torch-script/pooled.pt", import.meta.url));

before(() => {
  folder = temporaryFolder();
  hub = join(folder, "hub");
});

const run = (...args: string[]) => runHere(args, join(folder, "cache"));

async function refused(args: string[], code: number, pattern: RegExp): Promise<void> {
  const outcome = await run(...args);
  assert.equal(outcome.code, code, `${outcome.stdout}${outcome.stderr}`);
  assert.match(outcome.stderr, pattern);
  assert.doesNotMatch(outcome.stderr, /\n\s+at /);
}

/** A small network as MoCo's training saves it. */
function checkpoint(): string {
  const path = join(folder, "moco.safetensors");
  using generator = new Generator(1);
  using backbone = createBackbone("resnet", { layers: [1, 1], width: 8, stem: "small", stemStride: 2 }, { generator });
  scope(() => {
    const state = Array.from(backbone.stateDict(), ([key, value]) => [`module.encoder_q.${key}`, value] as const);
    writeSafetensors(path, new Map([...state, ["module.queue", zeros([4, 8])]]));
  });
  return path;
}

test("a model is added, shown, verified, trained on and removed", async () => {
  const added = await run(
    "hub",
    "add",
    "moco",
    checkpoint(),
    "--hub",
    hub,
    "--size",
    "24",
    "--data",
    "shapes",
    "--json",
  );
  assert.equal(added.code, 0, added.stderr);
  assert.match(added.stderr, /keys begin with "module\.encoder_q\."/);
  assert.match(added.stderr, /left out: .*module\.queue/);
  assert.match(added.stderr, /its licence is not known: say it with --licence/);
  assert.equal(lastLine(added.stdout)["paradigm"], "unknown");
  const graph = ["hub", "add", "program", program, "--hub", hub, "--size", "24", "--normalize", "half"];
  await refused(graph, 1, /TorchScript program.*--trust/);
  const trusted = await run(...graph, "--trust", "--licence", "MIT");
  assert.equal(trusted.code, 0, trusted.stderr);
  assert.match(
    trusted.stdout,
    /added program to .*: torchscript, \d+ parameters, [\d.]+ kFLOPs at 24 px, features 4 wide/,
  );

  await refused(["hub", "verify", hub], 1, /1 of 2 members/);
  assert.equal((await run("hub", "verify", hub, "--trust")).code, 0);
  const shown = await run("hub", "show", hub, "--trust", "--json");
  const members = lastLine(shown.stdout)["members"] as { licence: string; parameters: number; flops: number }[];
  assert.deepEqual(
    members.map((member) => member.licence),
    ["unknown", "MIT"],
  );
  assert.ok(members.every((member) => member.parameters > 0 && member.flops > 0));
  assert.match((await run("hub", "show", hub, "moco")).stdout, /keys +prefix "module\.encoder_q\."/);

  const images = await writeShapeImages(folder, 12);
  const out = join(folder, "run");
  const train = ["train", "--hub", hub, "--data", images, "--out", out, "--epochs", "1", "--batch-size", "8"];
  await refused([...train, "--k", "1"], 1, /TorchScript program.*--trust/);
  const trained = await run(...train.with(6, `${out}2`), "--k", "1", "--trust", "--json");
  assert.equal(trained.code, 0, trained.stderr);
  assert.deepEqual(Object.keys(lastLine(trained.stdout)["pathwayShare"] as object), ["moco", "program"]);
  const sizes = readManifest(hub)
    .members.filter(isImageMember)
    .map((member) => member.input.size);
  const { data } = JSON.parse(readFileSync(join(`${out}2`, "run.json"), "utf8"));
  assert.equal(data.form.imageSize, Math.max(...sizes), "images as large as the members want them");

  const removed = await run("hub", "rm", "program", "--hub", hub);
  assert.match(removed.stdout, /removed program from .* with program\/pooled\.pt/);
  assert.deepEqual(readdirSync(hub).sort(), ["hub.json", "moco"]);
});

test("what is wrong is said in one line, and no hub is begun", async () => {
  const other = join(folder, "other");
  const text = join(folder, "notes.txt");
  writeFileSync(text, "these are notes and not weights");
  const add = (source: string, ...more: string[]) => ["hub", "add", "x", source, "--hub", other, ...more];
  await refused(add(join(folder, "absent.pth")), 1, /there is no file .*absent\.pth/);
  await refused(add(text), 1, /notes\.txt is a text file, .*: hubs take safetensors/);
  await refused(add("ftp://example.org/x"), 1, /not fetched by ftp/);
  await refused(add("hf:owner/name", "--offline"), 1, /fetching is off/);
  await refused(add(program, "--mean", "0,0,0"), 2, /--mean and --std belong together/);
  await refused(add(program, "--mean", "a,b,c", "--std", "1,1,1"), 2, /not three numbers/);
  await refused(add(program, "--config", "[1]"), 2, /must be a JSON object/);
  await refused(add(program, "--sha256", "12"), 2, /64 hexadecimal digits/);
  await refused(add(program, "--trust"), 1, /does not say .*--size 224.* and how its images are normalised/);
  assert.ok(!existsSync(other));
  const before = readFileSync(join(hub, "hub.json"), "utf8");
  await refused(["hub", "rm", "nobody", "--hub", hub], 1, /no member "nobody"; it has: moco/);
  await refused(["hub", "rm", "moco", "--hub", hub], 1, /the only member/);
  await refused(["hub", "add", "moco", checkpoint(), "--hub", hub], 1, /has a member "moco" already/);
  assert.equal(readFileSync(join(hub, "hub.json"), "utf8"), before);
});
