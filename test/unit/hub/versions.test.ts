/** Manifests of version 1 stay hubs: read as version 2, with the fingerprints that runs and results were written under. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  describeHub,
  loadMember,
  memberFingerprint,
  openHub,
  readManifest,
  removeMember,
  verifyHub,
} from "../../../src/hub/index.ts";
import { hashFile, writeSafetensors } from "../../../src/io/index.ts";
import { createObservationNetwork } from "../../../src/models/index.ts";
import { Generator, rand, scope, UserError } from "../../../src/torch/index.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";

const anyInput = ["image", "observation"] as const;

test("the hubs of the package keep their fingerprints, which results are kept under", () => {
  const fingerprints = ["starter", "same-architecture", "specialists"].map((name) => {
    const { fingerprint, manifest } = openHub(`hubs/${name}`);
    return [name, fingerprint, memberFingerprint(manifest.members[0]!)];
  });
  // As the code before version 2 gave them.
  assert.deepEqual(fingerprints, [
    ["starter", "fc5c9376437cc82d", "c35b215a81ce468c"],
    ["same-architecture", "9176f9c18ecb08e1", "c35b215a81ce468c"],
    ["specialists", "dda01366ac6a0d98", "7d9a776ecd565bda"],
  ]);
});

const observation = { environment: "cartpole", shape: [4, 1, 1], channels: ["a", "b", "c", "d"] };

/** A hub as version 1 wrote it: models of images, and a list of agents of their own. */
function writeVersionOne() {
  const dir = writeSmallHub(temporaryFolder());
  const path = join(dir, "hub.json");
  const { members } = JSON.parse(readFileSync(path, "utf8")) as { members: { input: Record<string, unknown> }[] };
  for (const member of members) delete member.input["kind"];
  mkdirSync(join(dir, "pole"));
  const file = "pole/weights.safetensors";
  scope(() => {
    using generator = new Generator(4);
    using network = createObservationNetwork("mlp", { channels: 4, hidden: [8] }, { generator });
    const tensors = Array.from(network.stateDict(), ([key, value]) => [`network.${key}`, value] as const);
    const head = [
      ["head.weight", rand([3, 8], { generator })],
      ["head.bias", rand([3], { generator })],
    ] as const;
    writeSafetensors(join(dir, file), new Map([...tensors, ...head]));
  });
  const agent = {
    name: "pole",
    architecture: "mlp",
    config: { channels: 4, hidden: [8] },
    weights: { file, sha256: hashFile(join(dir, file)) },
    featureWidth: 8,
    observation,
    actions: ["left", "right"],
    outputs: "policy-and-value",
    training: { algorithm: "ppo", steps: 512, meanReturn: 21.5 },
    licence: "MIT",
    source: "a test",
  };
  writeFileSync(path, JSON.stringify({ version: 1, name: "old", members, agents: [agent] }));
  return { dir, agent };
}

test("agents of version 1 are members over observations, whose head is their classifier", () => {
  const { dir, agent } = writeVersionOne();
  const { name, architecture, config, weights, actions } = agent;
  const agents = openHub(dir, { inputs: ["observation"] });
  const own = [name, architecture, config, weights, observation, actions];
  const expected = createHash("sha256")
    .update(JSON.stringify([[own]]))
    .digest("hex")
    .slice(0, 16);
  assert.equal(agents.fingerprint, expected);
  const [entry] = agents.manifest.members;
  assert.ok(entry);
  assert.deepEqual(entry.input, { kind: "observation", ...observation });
  assert.deepEqual(entry.policy, { actions: ["left", "right"], outputs: "policy-and-value" });
  assert.deepEqual(entry.pretraining, { data: "cartpole", paradigm: "ppo, 512 steps", quality: "mean return 21.50" });
  const member = loadMember(dir, entry);
  scope(() => {
    using generator = new Generator(1);
    assert.deepEqual(member.outputs(rand([5, 4, 1, 1], { generator })).scores?.shape, [5, 3]);
  });
  member.dispose();
  assert.deepEqual(openHub(dir).manifest.members.length, 3, "training on images leaves agents out");
  const all = openHub(dir, { inputs: anyInput });
  assert.deepEqual(
    describeHub(all)
      .map((row) => row.input)
      .slice(2),
    ["24 px", "4x1x1"],
  );
  assert.ok(verifyHub(all).every(({ problems }) => problems.length === 0));
});

test("the next change of a hub writes version 2, and its members compute what they computed", () => {
  const { dir } = writeVersionOne();
  const before = openHub(dir, { inputs: anyInput }).manifest.members.map(memberFingerprint);
  removeMember(dir, "small-convnext");
  const text = JSON.parse(readFileSync(join(dir, "hub.json"), "utf8"));
  assert.equal(text.version, 2);
  assert.deepEqual(
    text.members.map((member: { input: { kind: string } }) => member.input.kind),
    ["image", "image", "observation"],
  );
  const { members } = openHub(dir, { inputs: anyInput }).manifest;
  assert.deepEqual(members.map(memberFingerprint), [before[0], before[2], before[3]]);
});

test("what an agent cannot be is refused, naming the field", () => {
  const { dir } = writeVersionOne();
  const path = join(dir, "hub.json");
  const cases: [(agent: Record<string, unknown>) => void, RegExp][] = [
    [(agent) => (agent["observation"] = { ...observation, shape: [4] }), /members\.3\.input\.shape/],
    [(agent) => (agent["actions"] = []), /members\.3\.policy\.actions/],
    [(agent) => (agent["name"] = "small-resnet"), /lists the member "small-resnet" twice/],
  ];
  const good = readFileSync(path, "utf8");
  for (const [change, pattern] of cases) {
    const manifest = JSON.parse(good) as { agents: Record<string, unknown>[] };
    change(manifest.agents[0]!);
    writeFileSync(path, JSON.stringify(manifest));
    assert.throws(
      () => readManifest(dir),
      (error) => error instanceof UserError && pattern.test(error.message),
    );
  }
  const head = JSON.parse(good) as { agents: { actions: string[] }[] };
  head.agents[0]!.actions = ["left"];
  writeFileSync(path, JSON.stringify(head));
  const [report] = verifyHub(openHub(dir, { inputs: ["observation"] }));
  assert.match(report?.problems.join() ?? "", /its head has 3 outputs, not 2 as hub\.json says/);
  writeFileSync(path, JSON.stringify({ ...JSON.parse(good), members: [] }));
  assert.throws(() => openHub(dir), {
    name: "UserError",
    message: /agents of games, not models of images: .*rl train/,
  });
});
