/** Runs of agents: killed and continued ones end as uninterrupted ones do; agents join hubs and see other games. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import {
  describeHub,
  loadMember,
  memberEntries,
  openHub,
  readManifest,
  removeMember,
  verifyHub,
} from "../../../src/hub/index.ts";
import { readSafetensors } from "../../../src/io/index.ts";
import {
  type AgentRequest,
  addAgentOfRun,
  defaultDqnOptions,
  defaultPpoOptions,
  distil,
  encode,
  loadAgent,
  loadAgents,
  makeEnvironment,
  matchChannels,
  type NetworkPlan,
  observationForm,
  openAgent,
  type PathwayPlan,
  playEpisodes,
  readProgress,
  resultOf,
  trainAgent,
  usualNetwork,
} from "../../../src/rl/index.ts";
import { disposeTree, Interrupted, memory, noGrad, scope, type Tensor, UserError } from "../../../src/torch/index.ts";
import { typescript } from "../../support/typescript.ts";

const dir = mkdtempSync(join(tmpdir(), "agents-"));
const hub = join(dir, "games");
const refusal = (pattern: RegExp) => (error: unknown) => error instanceof UserError && pattern.test(error.message);
const inDir = (name: string) => join(dir, name);
const openAgents = (folder: string) => openHub(folder, { inputs: ["observation"] });

async function formOf(id: string) {
  return observationForm(await makeEnvironment(id));
}

/** Of a run that has only to end. */
const totalSteps = 256;
const ppo = { name: "ppo", options: { ...defaultPpoOptions, rollout: 16 } } as const;
const dqnOptions = {
  ...defaultDqnOptions,
  nSteps: 3,
  capacity: 700,
  learningStarts: 100,
  trainEvery: 8,
  targetEvery: 300,
};
const dqn = { name: "dqn", options: dqnOptions } as const;

function request(out: string, changes: Partial<AgentRequest> & Pick<AgentRequest, "network">): AgentRequest {
  return {
    environment: "minatar:breakout",
    environmentOptions: {},
    algorithm: ppo,
    hub: undefined,
    copies: 4,
    totalSteps,
    seed: 3,
    out: inDir(out),
    resume: false,
    emit: () => {},
    ...changes,
  };
}

before(async () => {
  for (const game of ["breakout", "asterix"]) {
    const environment = `minatar:${game}`;
    const network = usualNetwork(await formOf(environment), "policy-and-value");
    await trainAgent(request(game, { environment, network }));
    await addAgentOfRun({ hub, name: game, run: inDir(game) });
  }
});
after(() => rmSync(dir, { recursive: true, force: true }));

function weightsOf(out: string): Record<string, number[]> {
  const { tensors } = readSafetensors(join(inDir(out), "agent.checkpoint.safetensors"));
  const values = Object.fromEntries(Array.from(tensors, ([key, tensor]) => [key, tensor.toNumbers()]));
  disposeTree(tensors);
  return values;
}

const played = (out: string) => readProgress(join(inDir(out), "events.jsonl")).flatMap((event) => event.returns);

const pathway = (config: PathwayPlan["config"], changes: Partial<PathwayPlan> = {}): NetworkPlan => ({
  kind: "pathway",
  config,
  memberRate: 1,
  randomRoutes: false,
  ...changes,
});

const plans: [string, Partial<AgentRequest> & Pick<AgentRequest, "network">][] = [
  ["ppo", { network: { kind: "new", architecture: "minatar-network", config: { channels: 4 } } }],
  ["dqn", { algorithm: dqn, network: { kind: "new", architecture: "minatar-network", config: { channels: 4 } } }],
  ["ppo-hub", { environment: "minatar:space-invaders", hub, network: pathway({ k: 1, warmup: 0.3 }) }],
  ["dqn-hub", { environment: "minatar:seaquest", hub, algorithm: dqn, network: pathway({ k: 2, tau: 1 }) }],
  // One copy plays on when the noise of its routes changes, after 256 steps.
  [
    "ppo-returns",
    { copies: 1, hub, network: pathway({ k: 1, aggregation: "logits" }, { heads: "own", credit: "returns" }) },
  ],
  ["ppo-frozen", { hub, network: pathway({ k: 1 }, { memberRate: 0, randomRoutes: true }) }],
];

for (const [name, plan] of plans) {
  test(`a ${name} run ends the same, whether it is left alone, interrupted, or killed after its last checkpoint`, async () => {
    const totalSteps = 4 * 16 * (plan.algorithm === dqn ? 10 : 6);
    const start = memory().handles;
    // Files that a kill leaves: a checkpoint of some time ago, a log that goes further, and half a line.
    let copied = false;
    let saves = 0;
    await trainAgent(
      request(`${name}-whole`, {
        ...plan,
        totalSteps,
        checkpointSeconds: 0,
        emit: ({ type, steps }) => {
          if (type !== "progress" || steps < totalSteps / 2 || copied || saves++ === 0) return;
          copied = true;
          cpSync(inDir(`${name}-whole`), inDir(`${name}-killed`), { recursive: true });
          // A killed owner is gone, and this test is not.
          rmSync(join(inDir(`${name}-killed`), ".lock"));
          writeFileSync(join(inDir(`${name}-killed`), "events.jsonl"), '{"type":"prog', { flag: "a" });
        },
      }),
    );
    assert.ok(copied);
    const abort = new AbortController();
    const stopped = request(`${name}-stopped`, { ...plan, totalSteps, signal: abort.signal });
    const emit: AgentRequest["emit"] = ({ type, steps }) => {
      if (type === "progress" && steps > totalSteps / 3) abort.abort();
    };
    await assert.rejects(trainAgent({ ...stopped, checkpointSeconds: 0, emit }), Interrupted);
    const { signal: _, ...again } = stopped;
    await trainAgent({ ...again, resume: true });
    await trainAgent(request(`${name}-killed`, { ...plan, totalSteps, resume: true }));
    const whole = weightsOf(`${name}-whole`);
    assert.ok(played(`${name}-whole`).length > 4);
    for (const other of ["stopped", "killed"]) {
      assert.deepEqual(weightsOf(`${name}-${other}`), whole, other);
      assert.deepEqual(played(`${name}-${other}`), played(`${name}-whole`), other);
    }
    assert.equal(memory().handles, start);
  });
}

test("the best policy is kept while an agent trains, and training is the same as without", async () => {
  const network = { kind: "new", architecture: "minatar-network", config: { channels: 4 } } as const;
  const evaluation = { every: 64, episodes: 4 };
  const measured = { network, totalSteps: 256, evaluation };
  await trainAgent(request("unmeasured", { network, totalSteps: 256 }));
  const outcome = await trainAgent(request("measured", measured));
  assert.deepEqual(weightsOf("measured"), weightsOf("unmeasured"));
  const evaluations = (out: string) =>
    readFileSync(join(inDir(out), "events.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
      .filter((event) => event.type === "evaluation");
  const all = evaluations("measured");
  assert.deepEqual(
    all.map(({ steps, returns }) => [steps, returns.length]),
    [64, 128, 192, 256].map((steps) => [steps, 4]),
  );
  const top = Math.max(...all.map(({ meanReturn }) => meanReturn));
  const best = all.find(({ meanReturn }) => meanReturn === top);
  assert.deepEqual(outcome.best, { steps: best?.steps, meanReturn: top });
  for (const [last, steps] of [
    [false, best?.steps],
    [true, 256],
  ] as const) {
    const opened = await openAgent(inDir("measured"), { copies: 1, seed: 0, last });
    assert.deepEqual([opened.steps, opened.finished], [steps, true]);
    opened.network.dispose();
  }
  const abort = new AbortController();
  const emit: AgentRequest["emit"] = ({ type, steps }) => {
    if (type === "evaluation" && steps > 100) abort.abort();
  };
  await assert.rejects(trainAgent(request("cut", { ...measured, signal: abort.signal, emit })), Interrupted);
  const resumed = await trainAgent(request("cut", { ...measured, resume: true }));
  assert.deepEqual([evaluations("cut"), resumed.best], [all, outcome.best]);
});

test("a run ends at whole rollouts, and its events count to there", async () => {
  const totals: number[] = [];
  const network = { kind: "new", architecture: "minatar-network", config: { channels: 4 } } as const;
  const emit: AgentRequest["emit"] = (event) => {
    if (event.type === "progress" || event.type === "start") totals.push(event.totalSteps);
  };
  const { steps } = await trainAgent(request("rounded", { network, totalSteps: 100, emit }));
  assert.deepEqual([steps, ...new Set(totals)], [128, 128], "two rollouts of 16 steps in 4 copies");
});

test("a finished run that is resumed says its result and changes nothing", async () => {
  const path = join(inDir("breakout"), "events.jsonl");
  const log = readFileSync(path, "utf8");
  const network = usualNetwork(await formOf("minatar:breakout"), "policy-and-value");
  const outcome = await trainAgent(request("breakout", { network, resume: true }));
  assert.equal(outcome.steps, totalSteps);
  assert.equal(readFileSync(path, "utf8"), log);
});

test("a run that was killed between its last checkpoint and its result gets the result when it is resumed", async () => {
  cpSync(inDir("breakout"), inDir("resultless"), { recursive: true });
  rmSync(join(inDir("resultless"), "result.json"));
  await assert.rejects(
    addAgentOfRun({ hub, name: "x", run: inDir("resultless") }),
    refusal(/is not finished.*--resume/),
  );
  const network = usualNetwork(await formOf("minatar:breakout"), "policy-and-value");
  const outcome = await trainAgent(request("resultless", { network, resume: true }));
  const { seconds: _, ...expected } = resultOf(inDir("breakout"));
  assert.deepEqual({ ...resultOf(inDir("resultless")), seconds: undefined }, { ...expected, seconds: undefined });
  assert.equal(outcome.steps, totalSteps);
});

test("a run over a hub stays usable while the hub grows, but not without its agents", async () => {
  const grown = inDir("grown");
  cpSync(hub, grown, { recursive: true });
  await trainAgent(request("on-grown", { environment: "minatar:freeway", hub: grown, network: pathway({ k: 1 }) }));
  await addAgentOfRun({ hub: grown, name: "freeway", run: inDir("on-grown") });
  await addAgentOfRun({ hub: grown, name: "again", run: inDir("on-grown"), agent: "asterix" });
  const opened = await openAgent(inDir("on-grown"), { copies: 1, seed: 0 });
  assert.deepEqual(opened.network.memberNames, ["breakout", "asterix"]);
  opened.network.dispose();
  const again = request("on-grown", { environment: "minatar:freeway", hub: grown, network: pathway({ k: 1 }) });
  assert.equal((await trainAgent({ ...again, resume: true })).steps, totalSteps);
  removeMember(grown, "asterix");
  const start = memory().handles;
  await assert.rejects(
    openAgent(inDir("on-grown"), { copies: 1, seed: 0 }),
    refusal(/agent "asterix".*is not there.*--hub/),
  );
  assert.equal(memory().handles, start);
  const moved = await openAgent(inDir("on-grown"), { copies: 1, seed: 0, hub });
  moved.network.dispose();
});

test("an episode without an end counts as it is after the most steps", async () => {
  const opened = await openAgent(inDir("breakout"), { copies: 2, seed: 5 });
  const { environment, network, form, actions } = opened;
  const play = { environment, network, form, actions: actions.length, kind: "policy-and-value", greedy: true } as const;
  const { lengths, cut } = await playEpisodes({ ...play, episodes: 6, maxSteps: 3 });
  assert.deepEqual([lengths, cut], [[3, 3], 2]);
  network.dispose();
});

test("another run's folder, no run to resume and other files are refused, and nothing is written", async () => {
  const network = usualNetwork(await formOf("minatar:breakout"), "policy-and-value");
  await assert.rejects(trainAgent(request("breakout", { network })), refusal(/already holds a run.*--resume/));
  const other = request("breakout", { network, seed: 4, resume: true });
  await assert.rejects(trainAgent(other), refusal(/another run \(seed differs\)/));
  await assert.rejects(trainAgent(request("none", { network, resume: true })), refusal(/no run to resume/));
  await assert.rejects(trainAgent({ ...request("games", { network }), out: hub }), refusal(/is not empty/));
  const { handles } = memory();
  const tooMany = request("none", { environment: "minatar:freeway", hub, network: pathway({ k: 3 }) });
  await assert.rejects(trainAgent(tooMany), refusal(/k is 3.*1 to 2/));
  const flat = request("none", { environment: "cartpole", hub, network: pathway({ k: 1 }) });
  await assert.rejects(trainAgent(flat), refusal(/sees 10x10 cells.*cartpole shows 1x1/));
  const misspelt = { k: 1, exploratonWeight: 0.5 } as PathwayPlan["config"];
  const wrong = request("none", { environment: "minatar:freeway", hub, network: pathway(misspelt) });
  await assert.rejects(trainAgent(wrong), refusal(/no choice exploratonWeight; its choices are: k, /));
  const options = { ...ppo.options, rollout: 2, minibatches: 8 };
  const few = request("none", { network, algorithm: { name: "ppo", options } });
  await assert.rejects(trainAgent(few), refusal(/has 8 steps, too few for 8 minibatches/));
  const unknown: NetworkPlan = { kind: "new", architecture: "mlp", config: { layers: 2 } };
  await assert.rejects(trainAgent(request("none", { network: unknown })), refusal(/wrong configuration/));
  assert.equal(memory().handles, handles);
  assert.equal(existsSync(inDir("none")), false);
});

test("a folder is one process's at a time: a second one is told who trains there, one that was killed is followed", async () => {
  const network = usualNetwork(await formOf("minatar:breakout"), "policy-and-value");
  const busy = new RegExp(`locked is in use by process ${process.pid}.*hub-pathway rl train`);
  let second: Promise<unknown> | undefined;
  const emit = () => {
    second ??= assert.rejects(trainAgent(request("locked", { network, resume: true })), refusal(busy));
  };
  await trainAgent(request("locked", { network, totalSteps: 64, emit }));
  assert.ok(second);
  await second;
  assert.ok(!existsSync(join(inDir("locked"), ".lock")));
  const code = `const { acquireLock } = await import(${JSON.stringify(new URL("../../../src/io/index.ts", import.meta.url).href)});
    acquireLock(${JSON.stringify(join(inDir("locked"), ".lock"))}, "hub-pathway rl train"); process.kill(process.pid, "SIGKILL");`;
  const killed = spawnSync(process.execPath, [...typescript, "--input-type=module", "--eval", code]);
  assert.equal(killed.signal, "SIGKILL", killed.stderr.toString());
  assert.ok(existsSync(join(inDir("locked"), ".lock")));
  await trainAgent(request("locked", { network, totalSteps: 64, resume: true }));
  assert.deepEqual(readdirSync(inDir("locked")).sort(), [
    "agent.checkpoint.safetensors",
    "agent.json",
    "events.jsonl",
    "result.json",
  ]);
});

test("a folder without a whole agent.json starts again, and one whose settings are damaged says so", async () => {
  const network = usualNetwork(await formOf("minatar:breakout"), "policy-and-value");
  const out = inDir("torn");
  mkdirSync(out);
  writeFileSync(join(out, "agent.json"), '{"version": 3, "envir');
  await assert.rejects(trainAgent(request("torn", { network, resume: true })), refusal(/agent\.json is not JSON/));
  assert.equal((await trainAgent(request("torn", { network, totalSteps: 64 }))).steps, 64);
  const settings = JSON.parse(readFileSync(join(out, "agent.json"), "utf8"));
  const write = (changes: object) =>
    writeFileSync(join(out, "agent.json"), JSON.stringify({ ...settings, ...changes }));
  const resumed = () => trainAgent(request("torn", { network, totalSteps: 64, resume: true }));
  write({ copies: "four" });
  await assert.rejects(resumed(), refusal(/agent\.json is not the settings of an agent's run.*does not describe/));
  write({ version: 2 });
  await assert.rejects(resumed(), refusal(/older version of this program/));
  write({ version: 4 });
  await assert.rejects(resumed(), refusal(/version 4, newer than this program/));
});

test("an agent in a hub plays as its run did, and the hub tells about it", async () => {
  const opened = await openAgent(inDir("breakout"), { copies: 2, seed: 5 });
  const member = loadMember(hub, memberEntries(openAgents(hub), ["breakout"])[0]!);
  scope(() => {
    const x = encode(
      Uint8Array.from({ length: 800 }, (_, i) => (i % 7 === 0 ? 1 : 0)),
      opened.form,
    );
    const expected = opened.network.act(x).outputs.toNumbers();
    const again = member.classify(x)!.toNumbers();
    for (const [i, value] of expected.entries()) assert.ok(Math.abs(value - (again[i] ?? 9)) < 1e-5);
  });
  const { environment, form, actions } = opened;
  const play = { environment, network: opened.network, form, actions: actions.length, greedy: false };
  const { returns, lengths } = await playEpisodes({ ...play, kind: "policy-and-value", episodes: 5 });
  assert.deepEqual([returns.length, lengths.length], [5, 5]);
  for (const owned of [member, opened.network]) owned.dispose();
  const [report] = describeHub(openAgents(hub));
  assert.deepEqual(
    [report?.data, report?.paradigm, report?.input],
    ["minatar:breakout", `ppo, ${totalSteps} steps`, "4x10x10"],
  );
  assert.equal(report?.parameters, 16 * 4 * 9 + 16 + 1024 * 128 + 128);
  // 8 x 8 outputs of a 3x3 filter over 4 channels, and the layer of 128 units.
  assert.equal(report?.flops, 2 * (64 * 16 * 36 + 1024 * 128));
  assert.deepEqual(
    verifyHub(openAgents(hub)).map(({ problems }) => problems),
    [[], []],
  );
});

test("channels match by name, then by meaning, and else see nothing", () => {
  const seaquest = ["sub_front", "sub_back", "friendly_bullet", "trail", "enemy_fish", "enemy_sub", "diver"];
  // asterix: player, enemy, trail, gold
  assert.deepEqual(matchChannels(["player", "enemy", "trail", "gold"], seaquest), [[0], [4, 5], [3], [6]]);
  // breakout: a ball and bricks mean nothing there
  assert.deepEqual(matchChannels(["paddle", "ball", "trail", "brick"], seaquest), [[0], [], [3], []]);
  // A namesake goes before a meaning, and what has a namesake is not shown twice.
  assert.deepEqual(matchChannels(["enemy", "car"], ["car", "enemy", "alien"]), [[1], [0]]);
});

test("an agent in another game computes what it computed of the channels that mean the same", async () => {
  const [space, opened] = [await formOf("minatar:space-invaders"), openAgents(hub)];
  const [entry] = memberEntries(opened, ["asterix"]);
  const own = loadMember(hub, entry!);
  const adopted = loadAgent(opened, entry!, space);
  assert.deepEqual(
    [adopted.backbone.inputShape, adopted.entry.input.shape],
    [
      [6, 10, 10],
      [6, 10, 10],
    ],
  );
  scope(() => {
    noGrad(() => {
      // In asterix: player, enemy, trail, gold. In space-invaders: cannon, alien, alien_left, alien_right, bullets.
      const seen = new Uint8Array(600);
      const before = new Uint8Array(400);
      for (const [cell, channel] of [
        [95, 0],
        [12, 1],
        [13, 1],
      ] as const) {
        seen[channel * 100 + cell] = 1;
        before[channel * 100 + cell] = 1;
      }
      const close = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item() < 1e-6;
      const expected = own.features(encode(before, { ...space, elements: 400, shape: [4, 10, 10] }));
      assert.ok(close(adopted.features(encode(seen, space)), expected));
      // Bullets mean nothing to it; its weights for them are there, to be learned.
      seen[4 * 100 + 50] = 1;
      assert.ok(close(adopted.features(encode(seen, space)), expected));
    });
  });
  for (const owned of [own, adopted]) owned.dispose();
});

test("damaged agents are refused by name and file, and removing one leaves the others", async () => {
  const copy = inDir("copy");
  cpSync(hub, copy, { recursive: true });
  const path = join(copy, "asterix", "weights.safetensors");
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const form = await formOf("minatar:freeway");
  const { handles } = memory();
  assert.throws(() => loadAgents(openAgents(copy), form), refusal(/asterix.*weights.safetensors.*damaged/));
  assert.equal(memory().handles, handles);
  assert.match(verifyHub(openAgents(copy))[1]?.problems[0] ?? "", /damaged/);
  assert.deepEqual(removeMember(copy, "asterix"), ["asterix/weights.safetensors"]);
  assert.deepEqual(
    readManifest(copy).members.map((agent) => agent.name),
    ["breakout"],
  );
  assert.equal(verifyHub(openAgents(copy)).length, 1);
  assert.throws(() => removeMember(copy, "breakout"), refusal(/only member/));
});

test("an agent of a run over a hub joins another one, with what it learned there and its own head", async () => {
  const [run, second] = [inDir("dqn-hub-whole"), inDir("of-routes")];
  const { entry } = await addAgentOfRun({ hub: second, name: "x", run, agent: "breakout" });
  assert.deepEqual(entry, readManifest(second).members[0]);
  assert.deepEqual([entry.input.environment, entry.input.shape[0]], ["minatar:seaquest", 10]);
  assert.deepEqual([entry.policy?.outputs, entry.pretraining.quality], ["action-values", undefined]);
  const trained = weightsOf("dqn-hub-whole");
  const member = loadMember(second, entry);
  for (const [key, value] of member.backbone.stateDict()) {
    assert.deepEqual(value.toNumbers(), trained[`model/members.breakout.${key}`], key);
  }
  assert.deepEqual(member.classifierLayer()?.weight.toNumbers(), trained["model/heads.breakout.weight"]);
  member.dispose();
  // Without a name it is the one that was activated most.
  const events = readProgress(join(run, "events.jsonl")).filter(({ steps, totalSteps }) => steps > 0.9 * totalSteps);
  const sum = (i: number) => events.reduce((total, { shares }) => total + (shares?.[i] ?? 0), 0);
  const most = await addAgentOfRun({ hub: second, name: "y", run });
  assert.match(most.entry.source, new RegExp(`its agent ${sum(0) >= sum(1) ? "breakout" : "asterix"}, \\d+ %`));
  const form = await formOf("minatar:freeway");
  for (const member of loadAgents(openAgents(second), form)) member.dispose();
  await assert.rejects(addAgentOfRun({ hub, name: "x", run, agent: "tetris" }), refusal(/no agent "tetris".*asterix/));
});

test("only finished runs join a hub, under names that are free", async () => {
  const single = { hub, name: "x", run: inDir("breakout"), agent: "breakout" };
  await assert.rejects(addAgentOfRun(single), refusal(/--agent is for runs over a hub/));
  await assert.rejects(addAgentOfRun({ hub, name: "breakout", run: inDir("breakout") }), refusal(/already/));
  await assert.rejects(addAgentOfRun({ hub, name: "x", run: dir }), refusal(/holds no agent/));
  assert.equal(readManifest(hub).members.length, 2);
});

test("one agent of a hub goes on in another game, with all that it learned", async () => {
  const network: NetworkPlan = { kind: "agent", name: "asterix" };
  const outcome = await trainAgent(request("tuned", { environment: "minatar:freeway", hub, network }));
  assert.equal(outcome.steps, totalSteps);
  const { entry } = await addAgentOfRun({ hub: inDir("second"), name: "tuned", run: inDir("tuned") });
  assert.deepEqual(entry.input.shape, [7, 10, 10]);
});

test("a student learns to act as the hub's agents do, and leaves nothing behind", async () => {
  const form = await formOf("minatar:seaquest");
  const network = usualNetwork(form, "policy-and-value");
  const { handles } = memory();
  const divergences: number[] = [];
  for (const steps of [20, 1000]) {
    const student = await distil({ hub: openAgents(hub), form, network, steps, copies: 4, seed: 0, lr: 3e-3 });
    assert.deepEqual(student.network.inputShape, [10, 10, 10]);
    divergences.push(student.divergence);
    for (const owned of [student.network, student.head]) owned.dispose();
  }
  const [early, late] = divergences as [number, number];
  assert.ok(late < early / 3, `divergence ${early} after few steps, ${late} after many`);
  assert.equal(memory().handles, handles);
});
