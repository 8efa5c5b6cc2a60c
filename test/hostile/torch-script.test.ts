/** TorchScript: never run without trust; with it, broken files are refused and leave nothing behind. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { openTorchScript } from "../../src/graphs/index.ts";
import { addMember, loadMember, type MemberEntry, openHub, verifyHub } from "../../src/hub/index.ts";
import { FileSource } from "../../src/io/file-source.ts";
import { isTorchScript, readTorchArchive } from "../../src/io/index.ts";
import { ZipArchive } from "../../src/io/torch-archive/zip.ts";
import { memory, scope, UserError, zeros } from "../../src/torch/index.ts";
import { torchZip, type ZipPart, zipOf } from "../support/archive-writer.ts";
import { assertRefused, outcome } from "../support/refusal.ts";
import { temporaryFolder, writeSmallHub } from "../support/small-hub.ts";

const folder = temporaryFolder();
const sound = fileURLToPath(new URL("../fixtures/torch-script/pooled.pt", import.meta.url));
const good = readFileSync(sound);
const path = join(folder, "program.pt");

/** Loads a program that is trusted, and runs it. */
function open(file: string): void {
  using model = openTorchScript(file, { size: 8 });
  scope(() => void model.forward(zeros([1, 3, 8, 8])));
}

function hostile(name: string, bytes: () => Buffer, pattern: RegExp): void {
  test(`refuses ${name}, though trusted`, async () => {
    writeFileSync(path, bytes());
    await assertRefused(open, path, pattern);
  });
}

/** The entries of the sound program. */
async function entries(): Promise<ZipPart[]> {
  const zip = await ZipArchive.open(await FileSource.of(sound));
  const parts: ZipPart[] = [];
  for (const entry of zip.entries.values()) parts.push({ name: entry.name, content: await zip.bytes(entry, 1 << 20) });
  return parts;
}

const parts = await entries();

/** The program with an entry in other words; undefined leaves it out. */
function changed(name: string, change: (text: string) => string | undefined): Buffer {
  const before = parts.find((part) => part.name === `pooled/${name}`) ?? assert.fail(name);
  const text = change(before.content.toString("latin1"));
  assert.notEqual(text, before.content.toString("latin1"));
  const after = text === undefined ? [] : [{ ...before, content: Buffer.from(text, "latin1") }];
  return zipOf(parts.flatMap((part) => (part === before ? after : [part])));
}

test("the sound program is read, so that each refusal has its own reason", async () => {
  writeFileSync(path, good);
  assert.equal(await outcome(open, path), undefined);
  writeFileSync(path, zipOf(parts));
  assert.equal(await outcome(open, path), undefined, "written again by the test's own writer");
});

// ---- without trust

/** A hub whose first member is the program. */
function hubWithProgram(): string {
  const own = join(folder, "own");
  mkdirSync(own);
  const dir = writeSmallHub(own);
  const manifest = JSON.parse(readFileSync(join(dir, "hub.json"), "utf8")) as { members: Record<string, unknown>[] };
  writeFileSync(join(dir, "program.pt"), good);
  const sha256 = createHash("sha256").update(good).digest("hex");
  Object.assign(manifest.members[0]!, {
    architecture: "graph",
    config: {},
    weights: { file: "program.pt", format: "torchscript", sha256 },
    featureWidth: 4,
    input: { kind: "image", size: 8, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  });
  writeFileSync(join(dir, "hub.json"), JSON.stringify(manifest));
  return dir;
}

test("no way to a member runs a program that is not trusted", async () => {
  const dir = hubWithProgram();
  const handles = memory().handles;
  const refused = { name: "UserError", message: /"small-resnet" is a TorchScript program .*program\.pt.*add --trust/ };
  const entry = openHub(dir).manifest.members[0] as MemberEntry;
  assert.throws(() => loadMember(dir, entry), refused);
  assert.throws(() => loadMember(dir, entry, { trust: false }), refused);
  assert.match(verifyHub(openHub(dir))[0]?.problems.join() ?? "", /add --trust/);
  const request = { hub: join(folder, "new"), name: "p", source: sound, wishes: {} };
  await assert.rejects(addMember(request), { name: "UserError", message: /TorchScript program .*add --trust/ });
  assert.equal(memory().handles, handles);
  assert.deepEqual(verifyHub(openHub(dir, { trust: true }))[0]?.problems, []);
});

test("as weights it is refused, trusted or not, and told apart without being run", async () => {
  writeFileSync(path, good);
  assert.equal(await isTorchScript(path), true);
  await assertRefused(async (file) => void (await readTorchArchive(file)), path, /is a TorchScript program/);
});

// ---- with trust

const unusable = /cannot be used as a TorchScript program/;
hostile("an empty file", () => Buffer.alloc(0), unusable);
hostile("text", () => Buffer.from("#!/bin/sh\n"), unusable);
hostile("zeros", () => Buffer.alloc(good.length), unusable);
hostile("a zip archive of something else", () => zipOf([{ name: "a.txt", content: good }]), unusable);
hostile("a state dict", () => torchZip(Buffer.from("\x80\x02}.", "latin1")), unusable);
hostile("half a file", () => good.subarray(0, good.length / 2), unusable);
hostile("a file without its last byte", () => good.subarray(0, -1), unusable);
hostile("a file without its first byte", () => good.subarray(1), unusable);
const code = "code/__torch__.py";
hostile(
  "a call of what there is not",
  () => changed(code, (text) => text.replace("torch.relu", "torch.nope")),
  unusable,
);
hostile("code that is no code", () => changed(code, () => "#!/bin/sh\nexit\n"), unusable);
hostile("a program without its code", () => changed(code, () => undefined), unusable);
hostile("a program without its pickle", () => changed("data.pkl", () => undefined), unusable);
hostile("a program without its constants", () => changed("constants.pkl", () => undefined), unusable);
hostile("a program without one of its weights", () => changed("data/0", () => undefined), unusable);
hostile("a pickle that is cut", () => changed("data.pkl", (text) => text.slice(0, 100)), unusable);
hostile("a version of the future", () => changed("version", () => "99999\n"), unusable);
hostile(
  "a program that fails when it runs",
  () => changed(code, (text) => text.replace("torch.relu(", "torch.view(").replace("(x, ), ))", "(x, ), ), [7])")),
  unusable,
);

const marker = join(folder, "ran");
const calls = `cos\nsystem\n(S'touch ${marker}'\ntR.`;
hostile("a pickle that calls a function", () => changed("data.pkl", () => calls), unusable);
hostile("constants that call a function", () => changed("constants.pkl", () => calls), unusable);
test("neither of them ran", () => assert.ok(!existsSync(marker)));
hostile("an empty pickle", () => changed("data.pkl", () => ""), unusable);
hostile("a pickle of a number", () => changed("data.pkl", () => "\x80\x02K\x01."), unusable);
hostile("constants that are no tuple", () => changed("constants.pkl", () => "\x80\x02K\x01."), unusable);
hostile("a version that is no number", () => changed("version", () => "new\n"), unusable);
hostile("no version", () => changed("version", () => undefined), unusable);
hostile("empty code", () => changed(code, () => ""), unusable);
hostile("code that is cut", () => changed(code, (text) => text.slice(0, text.length / 2)), unusable);
hostile("code of another class", () => changed(code, (text) => text.replace(/class \w+/, "class Other")), unusable);
hostile("code that gives nothing", () => changed(code, (text) => text.replace(/return /g, "x = ")), unusable);
hostile("code of an unknown type", () => changed(code, (text) => text.replace(": Tensor", ": Socket")), unusable);
hostile(
  "code that reads what it does not have",
  () => changed(code, (text) => text.replace("self.conv", "self.none")),
  unusable,
);
hostile("a gzip file", () => gzipSync(good), unusable);

test("a missing file and a folder are refused", async () => {
  await assertRefused(open, join(folder, "none.pt"), unusable);
  await assertRefused(open, folder, unusable);
});

test("a program that is cut anywhere is refused or whole, and leaves nothing", async () => {
  for (let length = 0; length < good.length; length += 211) {
    writeFileSync(path, good.subarray(0, length));
    assert.ok((await outcome(open, path)) instanceof UserError, `${length} bytes`);
  }
});
