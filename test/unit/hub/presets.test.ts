/** Presets of published networks against what torchvision and timm say of them, and presets that are wrong. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import {
  chooseMembers,
  forbidsCommercialUse,
  type HubPreset,
  presetNames,
  readPreset,
} from "../../../src/hub/index.ts";
import { createBackbone, proposeArchitecture, resizedTo } from "../../../src/models/index.ts";
import { init } from "../../../src/nn/index.ts";
import { ConfigError, Generator, memory, UserError } from "../../../src/torch/index.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

type State = Record<string, number[]>;

/** A network as make-preset-networks.py writes it. */
interface Published {
  /** Name in timm, which stands in config.json beside the file. */
  name?: string;
  /** PyTorch's count for one image. */
  flops: number;
  stated: { addresses?: string[]; licence?: string; bytes?: number; size?: number; mean?: number[]; std?: number[] };
  state: State;
  alternative?: { name?: string; state: State };
}

const fixture = new URL("../../fixtures/preset-networks.json.gz", import.meta.url);
const published = JSON.parse(gunzipSync(fs.readFileSync(fixture)).toString()) as Record<string, Published>;
// The same file as a plain network: as many FLOPs as the ResNet-50 whose names it has.
published["deeplabv3_resnet50.coco.plain"] = {
  ...(published["deeplabv3_resnet50.coco"] as Published),
  flops: published["resnet50.tv_in1k"]?.flops ?? 0,
};
const presets = presetNames().map((name) => readPreset(name));
const networks = new Map(presets.flatMap(({ members }) => members.map((member) => [member.network, member])));
const folder = temporaryFolder();

const elements = (shapes: Iterable<readonly number[]>): number =>
  Array.from(shapes, (shape) => shape.reduce((product, size) => product * size, 1)).reduce((a, b) => a + b, 0);

test("every network is recognised by its file's names and shapes, and its figures are those of the file", () => {
  const { handles } = memory();
  for (const [network, member] of networks) {
    const { name, state, flops, alternative } = published[network] as Published;
    const files = [{ name, state }, ...(alternative ? [alternative] : [])];
    for (const file of files) {
      const proposal = proposeArchitecture(new Map(Object.entries(file.state)), { ...file, config: member.config });
      assert.ok(proposal, network);
      assert.equal(proposal.architecture, member.architecture, network);
      assert.equal(proposal.guess, undefined, network);
      for (const [key, value] of Object.entries(member.config ?? {})) assert.equal(proposal.config[key], value);
      using generator = new Generator(1);
      const config = resizedTo(proposal, Object.keys(file.state), member.input.size)?.config ?? proposal.config;
      using backbone = init.skipInit(() =>
        createBackbone(proposal.architecture, config, { generator, device: "meta" }),
      );
      assert.equal(elements(backbone.parameters().map(({ shape }) => shape)), member.parameters, network);
    }
    assert.equal(member.flops, flops, network);
    if (member.about) assert.equal(member.bytes, 4 * elements(Object.values(state)), network);
  }
  assert.equal(memory().handles, handles);
  assert.deepEqual([...networks.keys()].sort(), Object.keys(published).sort(), "networks.json has no other");
});

test("addresses, hashes, sizes, input and licence are those that torchvision and timm state", () => {
  for (const [network, member] of networks) {
    const { addresses, licence, bytes, ...input } = published[network]?.stated ?? {};
    if (addresses) assert.ok(addresses.includes(member.source), network);
    if (bytes !== undefined) assert.equal(member.bytes, bytes, network);
    if (licence !== undefined) assert.equal(member.licence.toLowerCase(), licence, network);
    for (const [key, value] of Object.entries(input)) {
      // Trained at 518 px in the end, and measured at 224 by their authors.
      if (key === "size" && network.includes("dinov2")) continue;
      assert.deepEqual(member.input[key as keyof typeof member.input], value, `${network}: ${key}`);
    }
    for (const { source, sha256 } of [member, ...(member.alternative ? [member.alternative] : [])]) {
      const stated = /-([0-9a-f]{8,})\.pth$|\/([0-9a-f]{64})\/[\w-]+\.pt$/.exec(source)?.slice(1) ?? [];
      assert.equal(
        sha256,
        stated.find((digits) => digits !== undefined),
        source,
      );
    }
  }
});

test("presets mix architectures, data and paradigms, and the small one is free for any use", () => {
  const kinds = (preset: HubPreset, of: "architecture" | "data" | "paradigm") =>
    new Set(preset.members.map((member) => member[of])).size;
  for (const preset of presets.filter(({ name }) => name.startsWith("photos"))) {
    assert.ok(kinds(preset, "architecture") >= 4 && kinds(preset, "data") >= 4 && kinds(preset, "paradigm") >= 3);
  }
  const small = readPreset("photos-small");
  assert.ok(!small.members.some(forbidsCommercialUse));
  assert.ok(readPreset("paper").members.some(({ name, licence }) => name === "moco" && licence === "CC-BY-NC-4.0"));
});

test("a budget takes each member that still fits, in the preset's order", () => {
  const preset = readPreset("photos");
  const [first, second, third] = preset.members;
  assert.ok(first && second && third && second.bytes > third.bytes);
  const names = (budget: number, only?: string[]) => chooseMembers(preset, { budget, only }).map(({ name }) => name);
  const some = names(first.bytes + third.bytes, [first, second, third].map(({ name }) => name).reverse());
  assert.deepEqual(some, [first.name, third.name]);
  assert.deepEqual(
    names(1e12),
    preset.members.map(({ name }) => name),
  );
  assert.throws(() => names(1000), wrong(ConfigError, /no member of photos fits into 0\.0 MB: the smallest, .*, has/));
});

const wrong = (kind: typeof UserError, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof kind, String(error));
  assert.match(error.message, pattern);
  assert.doesNotMatch(error.message, /\n/);
  return true;
};

test("unknown names are refused with those that may be meant", () => {
  assert.throws(
    () => readPreset("photo-small"),
    wrong(ConfigError, /no preset "photo-small": is photos-small .*meant\?/),
  );
  assert.throws(() => readPreset("../networks"), wrong(ConfigError, /no preset/));
  assert.throws(() => readPreset("networks"), wrong(ConfigError, /no preset "networks": There are paper, photos,/));
  const preset = readPreset("paper");
  assert.throws(
    () => chooseMembers(preset, { only: ["mocco"] }),
    wrong(ConfigError, /no member of paper "mocco": is moco meant\? There are imagenet, moco/),
  );
});

test("files of presets that are wrong are refused by file and field", () => {
  const good = JSON.parse(fs.readFileSync(join("hubs", "presets", "networks.json"), "utf8")) as Record<string, object>;
  const name = "resnet50.vicreg";
  const read = (change: object, members: unknown[] = [name]) => {
    fs.writeFileSync(join(folder, "networks.json"), JSON.stringify({ [name]: { ...good[name], ...change } }));
    fs.writeFileSync(join(folder, "mine.json"), JSON.stringify({ summary: "mine", members }));
    return readPreset("mine", folder);
  };
  assert.equal(read({}, [{ name: "own", network: name }]).members[0]?.name, "own");
  const cases: [object, RegExp, unknown[]?][] = [
    [{ source: "http://example.org/x.pth" }, /networks\.json .*source: neither an https address/],
    [{ source: "hf:timm/resnet50" }, /source: neither/],
    [{ sha256: "12" }, /sha256: 8 to 64 hexadecimal digits/],
    [{ source: "hf:timm/x/model.safetensors", md5: "8cad7c" }, /hf: states SHA-256, not MD5/],
    [{ architecture: "resnet-50" }, /architecture: no architecture of this program/],
    [{ flops: 0 }, /flops/],
    [{ size: 3 }, /size/],
    [{}, /mine\.json: there is no network "resnet" in networks\.json/, ["resnet"]],
    [{}, /mine\.json names a member twice/, [name, name]],
  ];
  for (const [change, pattern, members] of cases) assert.throws(() => read(change, members), wrong(UserError, pattern));
});
