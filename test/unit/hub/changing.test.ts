/** Changes of a hub: nothing is lost when processes meet, and nothing but a member's own files is deleted. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { changeHub, openStaging, publish } from "../../../src/hub/adding/change.ts";
import { type MemberEntry, openHub, readManifest, removeMember, verifyHub } from "../../../src/hub/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { beforeEach } from "../../support/hooks.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";
import { typescript } from "../../support/typescript.ts";

const folder = temporaryFolder();
const original = writeSmallHub(folder);
const outside = join(folder, "outside");
let hub = "";
let count = 0;

beforeEach(() => {
  hub = join(folder, `hub-${++count}`);
  fs.cpSync(original, hub, { recursive: true });
  fs.rmSync(outside, { recursive: true, force: true });
  fs.mkdirSync(outside);
  fs.copyFileSync(join(hub, "small-resnet.safetensors"), join(outside, "thesis.pdf"));
});

const contents = (dir = hub) => (fs.readdirSync(dir, { recursive: true }) as string[]).sort();
const names = () => readManifest(hub).members.map(({ name }) => name);

/** Rewrites hub.json by hand. */
function edit(change: (members: MemberEntry[]) => void): void {
  const manifest = readManifest(hub);
  change(manifest.members);
  fs.writeFileSync(join(hub, "hub.json"), JSON.stringify(manifest));
}

function refuses(fn: () => unknown, pattern: RegExp): void {
  assert.throws(fn, (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, pattern);
    return true;
  });
}

/** Adds a copy of the first member as `hub add` does, without a network. */
function addCopy(name: string): void {
  const [first] = readManifest(hub).members;
  assert.ok(first);
  using staging = openStaging(hub);
  const file = `${name}/weights.safetensors`;
  fs.mkdirSync(join(staging.folder, name));
  fs.copyFileSync(join(original, "small-resnet.safetensors"), join(staging.folder, file));
  publish(hub, staging, { ...first, name, weights: { ...first.weights, file } });
}

test("members that join and leave at once, from several processes, are all accounted for", async () => {
  const program = (adds: string[], removes: string[]) => `
    import fs from "node:fs";
    import { openStaging, publish, removeMember } from ${JSON.stringify(new URL("../../../src/hub/adding/change.ts", import.meta.url).href)};
    import { readManifest } from ${JSON.stringify(new URL("../../../src/hub/manifest.ts", import.meta.url).href)};
    const hub = ${JSON.stringify(hub)};
    const [first] = readManifest(hub).members;
    for (const name of ${JSON.stringify(adds)}) {
      const staging = openStaging(hub);
      const file = name + "/weights.safetensors";
      fs.mkdirSync(staging.folder + "/" + name);
      fs.copyFileSync(${JSON.stringify(join(original, "small-resnet.safetensors"))}, staging.folder + "/" + file);
      const entry = { ...first, name, weights: { ...first.weights, file } };
      publish(hub, staging, entry);
      staging[Symbol.dispose]();
    }
    for (const name of ${JSON.stringify(removes)}) removeMember(hub, name);`;
  const members = (who: string) => [0, 1, 2, 3].map((i) => `${who}-${i}`);
  const workers = [
    program(members("a"), ["a-0", "small-convnext"]),
    program(members("b"), ["b-1"]),
    program(members("c"), ["other-resnet", "c-2"]),
  ].map((text) =>
    spawn(process.execPath, [...typescript, "--input-type=module", "--eval", text], { stdio: "inherit" }),
  );
  const codes = await Promise.all(workers.map(async (worker) => (await once(worker, "close"))[0]));
  assert.deepEqual(codes, [0, 0, 0]);
  const expected = ["small-resnet", "a-1", "a-2", "a-3", "b-0", "b-2", "b-3", "c-0", "c-1", "c-3"];
  assert.deepEqual(names().sort(), [...expected].sort());
  const folders = expected.slice(1).flatMap((name) => [name, `${name}/weights.safetensors`]);
  assert.deepEqual(contents(), [...folders, "hub.json", "small-resnet.safetensors"].sort());
  assert.ok(verifyHub(openHub(hub)).every(({ problems }) => problems.length === 0));
});

test("what a kill between the steps of an add left does not block the name, and is removed", () => {
  fs.mkdirSync(join(hub, "late"));
  fs.writeFileSync(join(hub, "late", "weights.safetensors"), "x");
  refuses(() => addCopy("late"), /late is in the way/);
  fs.writeFileSync(join(hub, ".pending.json"), '{"files":["late/weights.safetensors"]}');
  addCopy("late");
  assert.ok(names().includes("late"));
  // Killed after hub.json was replaced: the member is there.
  fs.writeFileSync(join(hub, ".pending.json"), '{"files":["late/weights.safetensors"]}');
  addCopy("later");
  assert.ok(fs.existsSync(join(hub, "late", "weights.safetensors")));
  assert.ok(!fs.existsSync(join(hub, ".pending.json")));
});

test("what a kill between the steps of a removal left is removed", () => {
  edit((members) => members.pop());
  fs.writeFileSync(join(hub, ".pending.json"), '{"files":["other-resnet.safetensors"]}');
  addCopy("next");
  assert.deepEqual(names(), ["small-resnet", "small-convnext", "next"]);
  assert.ok(!fs.existsSync(join(hub, "other-resnet.safetensors")));
});

test("a list of pending files deletes nothing outside the hub and nothing that a member has", () => {
  fs.symlinkSync(outside, join(hub, "sub"));
  fs.symlinkSync(join(outside, "thesis.pdf"), join(hub, "direct"));
  for (const file of ["../outside/thesis.pdf", join(outside, "thesis.pdf"), "hub.json", ".lock"]) {
    fs.writeFileSync(join(hub, ".pending.json"), JSON.stringify({ files: [file] }));
    refuses(() => removeMember(hub, "small-resnet"), /\.pending\.json is not a list of a hub's files/);
  }
  const files = ["sub/thesis.pdf", "direct", "./small-convnext.safetensors", "absent/x", "sub"];
  fs.writeFileSync(join(hub, ".pending.json"), JSON.stringify({ files }));
  assert.deepEqual(removeMember(hub, "small-resnet"), ["small-resnet.safetensors"]);
  assert.deepEqual(contents(outside), ["thesis.pdf"]);
  assert.ok(fs.existsSync(join(hub, "small-convnext.safetensors")));
});

test("a member's file behind a link is refused, and stays where it is when the member leaves", () => {
  fs.symlinkSync(outside, join(hub, "sub"));
  fs.symlinkSync(join(outside, "thesis.pdf"), join(hub, "direct.safetensors"));
  for (const file of ["sub/thesis.pdf", "direct.safetensors"]) {
    edit(([first]) => Object.assign(first?.weights ?? {}, { file }));
    const [{ problems } = { problems: [] }] = verifyHub(openHub(hub));
    assert.match(problems.join(), /symbolic link or lies behind one.*put a copy/);
  }
  edit(([first]) => Object.assign(first?.weights ?? {}, { file: "sub/thesis.pdf" }));
  assert.deepEqual(removeMember(hub, "small-resnet"), []);
  assert.deepEqual(contents(outside), ["thesis.pdf"]);
  assert.deepEqual(names(), ["small-convnext", "other-resnet"]);
});

test("a file under two spellings is one file, and the other member keeps it", () => {
  edit((members) => {
    const last = members.at(-1);
    if (last)
      members.push({ ...last, name: "alias", weights: { ...last.weights, file: "./a/../other-resnet.safetensors" } });
  });
  assert.deepEqual(removeMember(hub, "alias"), []);
  assert.ok(verifyHub(openHub(hub)).every(({ problems }) => problems.length === 0));
});

test("a folder in place of weights is left alone", () => {
  fs.mkdirSync(join(hub, "d"));
  fs.writeFileSync(join(hub, "d", "x"), "");
  edit(([first]) => Object.assign(first?.weights ?? {}, { file: "d" }));
  assert.match(verifyHub(openHub(hub))[0]?.problems.join() ?? "", /d is not a file but a folder/);
  assert.deepEqual(removeMember(hub, "small-resnet"), []);
  assert.deepEqual(contents(join(hub, "d")), ["x"]);
});

test("hub.json that changes while a member is made is not written over", () => {
  fs.writeFileSync(join(hub, "new"), "x");
  refuses(
    () =>
      changeHub(hub, "a test", (before) => {
        edit((members) => members.pop());
        return { manifest: before, files: ["new"] };
      }),
    /hub\.json changed meanwhile/,
  );
  assert.deepEqual(names(), ["small-resnet", "small-convnext"]);
  assert.ok(!fs.existsSync(join(hub, "new")));
});

test("names that cannot be a member's come with one that can", () => {
  for (const [given, proposed] of [
    ["my net (1).onnx", "my-net-1"],
    ["../../x", "x"],
    ["hub.json", "hub"],
    [".hidden", "hidden"],
  ] as const) {
    refuses(() => addCopy(given), new RegExp(`cannot be a member's name.*: call it ${proposed}$`));
  }
  assert.deepEqual(contents(), contents(original));
});
