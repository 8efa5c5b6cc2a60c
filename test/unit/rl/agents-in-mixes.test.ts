/** Agents of a hub in mixes of games, and agents that keep their heads. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { loadMember, memberEntries, openHub } from "../../../src/hub/index.ts";
import {
  actionNames,
  addAgentOfRun,
  buildNetwork,
  defaultPpoOptions,
  encode,
  loadAgent,
  makeEnvironment,
  type NetworkPlan,
  observationForm,
  trainAgent,
  usualNetwork,
} from "../../../src/rl/index.ts";
import { ConfigError, memory, noGrad, scope, UserError } from "../../../src/torch/index.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const folder = temporaryFolder();
const hub = join(folder, "games");

before(async () => {
  const algorithm = { name: "ppo", options: { ...defaultPpoOptions, rollout: 16 } } as const;
  const about = { environmentOptions: {}, algorithm, hub: undefined, copies: 4, totalSteps: 128, seed: 3 };
  for (const game of ["breakout", "asterix"]) {
    const environment = `minatar:${game}`;
    const out = join(folder, game);
    const network = usualNetwork(observationForm(await makeEnvironment(environment)), "policy-and-value");
    await trainAgent({ ...about, environment, network, out, resume: false, emit: () => {} });
    await addAgentOfRun({ hub, name: game, run: out });
  }
});

test("in a mix of games an agent answers each game as it does in that game alone", async () => {
  const opened = openHub(hub, { inputs: ["observation"] });
  const [entry] = memberEntries(opened, ["asterix"]);
  const names = ["asterix", "space-invaders", "seaquest"];
  const mixId = `minatar:${names.join("+")}`;
  const form = observationForm(await makeEnvironment(mixId));
  const mixed = loadAgent(opened, entry!, form);
  for (const name of names) {
    const alone = await makeEnvironment(`minatar:${name}`, { n: 3, seed: 5 });
    const together = await makeEnvironment(mixId, { n: 3, seed: 5, only: name });
    const own = loadAgent(opened, entry!, observationForm(alone));
    const actions = Int32Array.of(3, 5, 1);
    for (let step = 0; step < 30; step++) {
      const [seen, all] = [(await alone.step(actions)).observations, (await together.step(actions)).observations];
      const off = scope(() =>
        noGrad(() =>
          own
            .features(encode(seen, observationForm(alone)))
            .sub(mixed.features(encode(all, form)))
            .abs()
            .max()
            .item(),
        ),
      );
      assert.ok(off < 1e-5, `${name}: ${off}`);
    }
    own.dispose();
  }
  mixed.dispose();
});

test("agents that keep their heads begin with the policy that they have; other actions and outputs are refused", async () => {
  const { handles } = memory();
  const opened = openHub(hub, { inputs: ["observation"] });
  const environment = await makeEnvironment("minatar:breakout", { n: 5, seed: 2 });
  const form = observationForm(environment);
  const setting = { form, actions: actionNames(environment), kind: "policy-and-value", seed: 1, hub: opened } as const;
  const x = encode((await environment.step(Int32Array.of(1, 1, 3, 3, 5))).observations, form);
  const outputs = (plan: NetworkPlan) => {
    const network = buildNetwork(plan, setting);
    const found = scope(() => noGrad(() => network.act(x).outputs.toNumbers()));
    network.dispose();
    return found;
  };
  const [entry] = memberEntries(opened, ["breakout"]);
  const member = loadMember(hub, entry!);
  const expected = scope(() => noGrad(() => member.classify(x)?.toNumbers() ?? []));
  member.dispose();
  const near = (found: number[]) => found.every((value, i) => Math.abs(value - (expected[i] ?? 9)) < 1e-5);
  assert.ok(near(outputs({ kind: "agent", name: "breakout", heads: "own" })));
  assert.ok(!near(outputs({ kind: "agent", name: "breakout" })));
  const config = { k: 1, aggregation: "logits" } as const;
  const alone: NetworkPlan = { kind: "pathway", config, memberRate: 1, randomRoutes: false, heads: "own" };
  const network = buildNetwork(alone, { ...setting, agents: ["breakout"] });
  assert.ok(near(scope(() => noGrad(() => network.act(x).outputs.toNumbers()))));
  network.dispose();
  // Heads that were kept belong to what an agent brought along, and learn at its rate.
  for (const memberRate of [0, 0.1]) {
    const kept = buildNetwork({ ...alone, memberRate }, setting);
    const [agents, rest] = kept.parameterGroups();
    assert.equal(agents?.factor, memberRate);
    assert.ok(agents?.params.every((parameter) => parameter.requires_grad === memberRate > 0));
    const own = new Set(agents?.params);
    const named = [...kept.module.namedParameters()];
    for (const [name, parameter] of named) assert.equal(own.has(parameter), !name.startsWith("generator."), name);
    assert.equal((agents?.params.length ?? 0) + (rest?.params.length ?? 0), named.length);
    kept.dispose();
  }
  for (const [plan, changes, pattern] of [
    [alone, { actions: ["left", "right"] }, /cannot keep its head: it has policy-and-value of noop, left/],
    [{ kind: "agent", name: "breakout", heads: "own" }, { kind: "action-values" }, /is learned with action-values/],
  ] as const) {
    assert.throws(
      () => buildNetwork(plan, { ...setting, ...changes }),
      (error: unknown) => error instanceof UserError && pattern.test(error.message),
    );
  }
  const taught: NetworkPlan = { ...alone, credit: "returns" };
  const critical = buildNetwork(taught, setting);
  const trained = critical.parameterGroups().flatMap(({ params }) => params);
  assert.deepEqual(new Set(trained), new Set(critical.module.parameters()));
  assert.ok([...critical.module.namedParameters().keys()].some((name) => name.startsWith("critic.")));
  critical.dispose();
  for (const [plan, kind] of [
    [taught, "action-values"],
    [{ ...taught, randomRoutes: true }, "policy-and-value"],
    [{ ...taught, config: { ...config, generatorKind: "random" } }, "policy-and-value"],
    [{ ...taught, config: { k: 1 } }, "policy-and-value"],
    [{ ...taught, config: { ...config, k: 3 } }, "policy-and-value"],
  ] as const) {
    assert.throws(() => buildNetwork(plan, { ...setting, kind }), ConfigError);
  }
  x.dispose();
  assert.equal(memory().handles, handles);
});
