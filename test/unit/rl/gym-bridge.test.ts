/** The bridge to Python: with small environments of ours, with Gymnasium's own and with Atari where they are installed. */
// Long: each test starts Python.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { EpisodeMeter } from "../../../src/rl/algorithms/episodes.ts";
import { type GymOptions, openGymEnvironment } from "../../../src/rl/bridge/index.ts";
import { makeEnvironment, type StepResult } from "../../../src/rl/environments/index.ts";
import { ConfigError, UserError } from "../../../src/torch/index.ts";
import { typescript } from "../../support/typescript.ts";

const asked = ["numpy", "gymnasium", "ale_py", "cv2"];
/** Says where Python itself lies, since the script of a version manager takes longer to start, and which modules load. */
const question = `
import importlib, json, sys
def loads(name):
    try: return importlib.import_module(name) is not None
    except ImportError: return False
print(json.dumps([sys.executable, [name for name in ${JSON.stringify(asked)} if loads(name)]]))`;
const named = process.env["HUB_PATHWAY_PYTHON"] ?? "python3";
const answer = spawnSync(named, ["-c", question], { encoding: "utf8" });
const [python, installed] = (answer.status === 0 ? JSON.parse(answer.stdout) : [named, []]) as [string, string[]];
const has = (...modules: string[]) => modules.every((name) => installed.includes(name));
const needs = (...modules: string[]) =>
  has(...modules) ? {} : { skip: `${python} has not all of: ${modules.join(", ")}` };
const needsNumpy = needs("numpy");

const file = fileURLToPath(new URL("../../fixtures/rl/environments.py", import.meta.url));

type Options = GymOptions & { n?: number; seed?: number; maxSteps?: number };

/** An environment that is closed after the test, whatever happens. */
async function open(context: TestContext, id: string, options: Options = {}) {
  const environment = await openGymEnvironment(`gym:${id}`, { python, ...options });
  context.after(() => environment.close());
  return environment;
}

const ours = (name: string) => `${file}:${name}`;

function refusal(pattern: RegExp, kind: typeof UserError = UserError) {
  return (error: unknown) => {
    assert.ok(error instanceof kind, String(error));
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /\n/, "no traceback");
    return true;
  };
}

/** A copy of what a step answered, since the next one writes over it. */
function kept({ observations, rewards, terminated, truncated, finalObservations }: StepResult) {
  const ended = [...terminated.keys()].filter((i) => terminated[i] || truncated[i]);
  const size = observations.length / rewards.length;
  return {
    observations: [...observations],
    rewards: [...rewards],
    terminated: [...terminated],
    truncated: [...truncated],
    finals: ended.map((i) => [...finalObservations.subarray(i * size, (i + 1) * size)]),
  };
}

/** Actions that depend on the step and the copy alone. */
function plan(step: number, n: number, count: number): Int32Array {
  return Int32Array.from({ length: n }, (_, i) => (step * 7 + i * 5 + ((step * step) % 3)) % count);
}

test(
  "an environment of a file without Gymnasium: spaces, steps, restarts with the final observation",
  needsNumpy,
  async (t) => {
    const environment = await open(t, ours("Walk"), { n: 3, seed: 5 });
    const infinite = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
    assert.deepEqual(environment.observationSpace, { kind: "box", shape: [2], dtype: "float32", ...infinite });
    assert.deepEqual(environment.actionSpace, { kind: "discrete", n: 3 });
    let ends = 0;
    let places = [0, 0, 0];
    for (let step = 0; step < 60; step++) {
      const result = await environment.step(Int32Array.of(2, 2, 0));
      for (let i = 0; i < 3; i++) {
        const [place, reached] = [result.observations[2 * i] as number, result.finalObservations[2 * i] as number];
        if (result.terminated[i] === 1) {
          assert.equal(place, 0, "the next episode has begun");
          assert.equal(Math.abs(reached), 3);
          assert.equal(result.rewards[i], reached / 3);
          ends++;
        } else {
          assert.equal(Math.abs(place - (places[i] as number)), 1);
          assert.equal(result.rewards[i], 0);
        }
        places = places.map((old, j) => (j === i ? place : old));
      }
    }
    assert.ok(ends > 5, `${ends} episodes ended`);
  },
);

test("the seed decides everything; copy i of seed s is the single environment of seed s + i", needsNumpy, async (t) => {
  const batch = await open(t, ours("Walk"), { n: 3, seed: 11 });
  const singles = await Promise.all([11, 12, 13].map((seed) => open(t, ours("Walk"), { seed })));
  for (let step = 0; step < 40; step++) {
    const actions = plan(step, 3, 3);
    const together = kept(await batch.step(actions));
    for (const [i, single] of singles.entries()) {
      const alone = kept(await single.step(actions.slice(i, i + 1)));
      assert.deepEqual(alone.observations, together.observations.slice(2 * i, 2 * i + 2));
      assert.equal(alone.rewards[0], together.rewards[i]);
    }
  }
  const first = [...(await batch.reset(11))];
  assert.deepEqual([...(await batch.reset(11))], first);
  assert.notDeepEqual([...(await batch.reset())], first, "without a seed new episodes begin");
});

test("a saved state continues exactly, in the middle of episodes", needsNumpy, async (t) => {
  const environment = await open(t, ours("Walk"), { n: 4, seed: 2 });
  for (let step = 0; step < 33; step++) await environment.step(plan(step, 4, 3));
  const state = JSON.parse(JSON.stringify(environment.state()));
  const expected = [];
  for (let step = 33; step < 60; step++) expected.push(kept(await environment.step(plan(step, 4, 3))));
  const resumed = await open(t, ours("Walk"), { n: 4, seed: 999 });
  await resumed.restore(state);
  for (let step = 33; step < 60; step++)
    assert.deepEqual(kept(await resumed.step(plan(step, 4, 3))), expected[step - 33]);
  await assert.rejects(resumed.restore({ ...state, copies: [] }), refusal(/0 copies.*with 4/));
  await assert.rejects(resumed.restore({ ...state, copies: [1, 2, 3, 4] }), refusal(/cannot be used/));
});

test("8-bit images and real-valued actions; a time limit truncates", needsNumpy, async (t) => {
  const environment = await open(t, ours("Pixels"), { n: 2, maxSteps: 3 });
  assert.equal(environment.observationSpace.dtype, "uint8");
  assert.deepEqual(environment.actionSpace, { kind: "box", shape: [2], dtype: "float32", low: -1, high: 1 });
  for (let step = 1; step <= 3; step++) {
    const { rewards, truncated, observations, finalObservations } = await environment.step(
      Float32Array.of(0.5, 0.25, -1, 0),
    );
    assert.deepEqual([...rewards], [3, -1]);
    assert.deepEqual([...truncated], step === 3 ? [1, 1] : [0, 0]);
    assert.deepEqual([...observations], new Array(12).fill(step === 3 ? 0 : step));
    if (step === 3) assert.deepEqual([...finalObservations], new Array(12).fill(3));
  }
  await assert.rejects(environment.step(Int32Array.of(0, 0)), RangeError);
});

test("clipped rewards come with those of the game: an episode has a return and a score", needsNumpy, async (t) => {
  const play = async (options: Options) => {
    const environment = await open(t, ours("Pixels"), { n: 2, maxSteps: 3, ...options });
    const meter = new EpisodeMeter(2);
    for (let step = 1; step <= 3; step++) {
      const result = await environment.step(Float32Array.of(0.5, 0.25, -1, 0));
      assert.deepEqual([...result.finalObservations], new Array(12).fill(step === 3 ? 3 : 0));
      meter.add(result);
    }
    return meter;
  };
  const clipped = await play({ atari: { clipRewards: true } });
  assert.deepEqual(clipped.take(), [
    { return: 3, score: 9, length: 3 },
    { return: -3, score: -3, length: 3 },
  ]);
  assert.deepEqual(clipped.means, { return: 0, score: 3, length: 3 });
  assert.deepEqual((await play({})).means, { return: 3, length: 3 });
});

test("pictures of cameras come channels first", needsNumpy, () => {
  const server = fileURLToPath(new URL("../../../src/rl/bridge/gym-server.py", import.meta.url));
  const program = `
import importlib.util, types
import numpy as np
spec = importlib.util.spec_from_file_location("server", ${JSON.stringify(server)})
server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(server)

class Box:
    def __init__(self, low, high, dtype):
        self.low, self.high, self.dtype, self.shape = low, high, dtype, low.shape

picture = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
space = Box(np.zeros((8, 6, 3), np.uint8), np.full((8, 6, 3), 255, np.uint8), np.uint8)
env = types.SimpleNamespace(
    observation_space=space, action_space=None,
    reset=lambda **options: (picture, {}), step=lambda action: (picture, 1.0, False, False, {}),
)
assert server.is_camera(space)
assert not server.is_camera(Box(np.zeros((4, 84, 84), np.uint8), np.zeros((4, 84, 84)), np.uint8))
assert not server.is_camera(Box(np.zeros((8, 6, 3)), np.zeros((8, 6, 3)), np.float32))
first = server.Copy(server.ChannelsFirst(env), None)
assert first.shape == (3, 8, 6)
for seen in (first.start(1, 0), first.step(0)[0]):
    assert (seen == picture.transpose(2, 0, 1)).all()
`;
  const { status, stderr } = spawnSync(python, ["-c", program], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
});

test("wrong actions and overlapping calls are refused and break nothing", needsNumpy, async (t) => {
  const environment = await open(t, ours("Walk"), { n: 2 });
  await assert.rejects(environment.step(Int32Array.of(0)), RangeError);
  await assert.rejects(environment.step(Int32Array.of(0, 3)), /action 3 of copy 1/);
  const running = environment.step(Int32Array.of(1, 1));
  await assert.rejects(environment.step(Int32Array.of(1, 1)), /busy/);
  await running;
  await environment.step(Int32Array.of(1, 1));
});

for (const [name, pattern] of [
  ["Raises", /Raises failed: ValueError: the dice fell off the table \(environments\.py:\d+\)/],
  ["Exits", /ended with exit code 7: segmentation fault or the like/],
  ["OldStep", /OldStep failed: step must return five values/],
] as const) {
  test(`${name}: a failure in the middle of a step says what happened, then and later`, needsNumpy, async (t) => {
    const environment = await open(t, ours(name));
    await assert.rejects(environment.step(Int32Array.of(1)), refusal(pattern));
    await assert.rejects(environment.step(Int32Array.of(1)), refusal(pattern));
  });
}

for (const [id, pattern] of [
  [ours("WrongShape"), /an observation has shape \[5\], dtype float64; its space says shape \[2\]/],
  [ours("OddActions"), /action space .* only Discrete and Box/],
  [ours("Nothing"), /has no class Nothing/],
  ["no/such/file.py:Walk", /there is no Python file no\/such\/file\.py/],
] as const) {
  test(`${id.replace(file, "environments.py")} is refused at the start`, needsNumpy, async () => {
    await assert.rejects(openGymEnvironment(`gym:${id}`, { python }), refusal(pattern));
  });
}

test("no Python, no program like Python, no Gymnasium", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "bridge-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const missing = openGymEnvironment("gym:CartPole-v1", { python: "no-such-python" });
  await assert.rejects(missing, refusal(/cannot be started as "no-such-python".*HUB_PATHWAY_PYTHON/, ConfigError));
  await assert.rejects(
    openGymEnvironment("gym:CartPole-v1", { python: "cat" }),
    refusal(/does not answer/, ConfigError),
  );
  await assert.rejects(openGymEnvironment("gym:CartPole-v1", { python: "false" }), refusal(/ended with exit code 1/));
  if (!has("numpy")) return;
  // A Python that does not look into its package folders but for numpy's.
  const bare = join(folder, "python");
  const found = spawnSync(python, ["-c", "import numpy, os; print(os.path.dirname(numpy.__path__[0]))"]);
  const packages = found.stdout.toString().trim();
  writeFileSync(
    join(folder, "sitecustomize.py"),
    `import sys\nclass Hide:\n    def find_spec(self, name, path=None, target=None):\n        if name == "gymnasium": raise ImportError(name)\nsys.meta_path.insert(0, Hide())\n`,
  );
  writeFileSync(bare, `#!/bin/sh\nPYTHONPATH="${folder}:${packages}" exec "${python}" "$@"\n`);
  chmodSync(bare, 0o755);
  await assert.rejects(
    openGymEnvironment("gym:CartPole-v1", { python: bare }),
    refusal(/needs gymnasium.*pip install gymnasium/, ConfigError),
  );
});

/** True when this process plays environments; a zombie has no command line. */
function plays(id: string): boolean {
  try {
    return readFileSync(`/proc/${id}/cmdline`, "utf8").includes("gym-server.py");
  } catch {
    return false;
  }
}

async function assertGone(ids: readonly string[]): Promise<void> {
  for (let attempt = 0; attempt < 250 && ids.some(plays); attempt++) await sleep(20);
  assert.deepEqual(ids.filter(plays), []);
}

const children = () =>
  readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(/\s+/).filter(plays);

test("no process is left after close or a failure", needsNumpy, async () => {
  const before = new Set(children());
  const closed = await openGymEnvironment(`gym:${ours("Walk")}`, { python });
  const failed = await openGymEnvironment(`gym:${ours("Raises")}`, { python });
  const ids = children().filter((id) => !before.has(id));
  assert.equal(ids.length, 2);
  await closed.close();
  await assert.rejects(failed.step(Int32Array.of(1)));
  await assertGone(ids);
  await assert.rejects(async () => closed.step(Int32Array.of(1)), /is closed/);
});

test("a program that ends without closing, or is killed, leaves no process", needsNumpy, async () => {
  const bridge = new URL("../../../src/rl/bridge/index.ts", import.meta.url).href;
  for (const end of ["", "process.kill(process.pid, 'SIGKILL');"]) {
    const script = `
      import { readFileSync } from "node:fs";
      import { openGymEnvironment } from ${JSON.stringify(bridge)};
      const environment = await openGymEnvironment(process.argv[1], { python: process.argv[2] });
      await environment.step(Int32Array.of(1));
      console.log(readFileSync("/proc/self/task/" + process.pid + "/children", "utf8"));
      ${end}
    `;
    const args = [...typescript, "--input-type=module", "-e", script, `gym:${ours("Walk")}`, python];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { timeout: 60_000 });
    assert.equal(status, end === "" ? 0 : null, stderr.toString());
    const ids = stdout.toString().trim().split(/\s+/);
    assert.ok(ids.every((id) => Number(id) > 0));
    await assertGone(ids);
  }
});

const needsGymnasium = needs("numpy", "gymnasium");

test("Gymnasium's CartPole and ours are the same game", needsGymnasium, async (t) => {
  const theirs = await open(t, "CartPole-v1", { n: 2, seed: 3 });
  const our = await makeEnvironment("cartpole", { n: 2, seed: 3 });
  assert.deepEqual(theirs.observationSpace.shape, our.observationSpace.shape);
  const [theirHigh, ourHigh] = [theirs.observationSpace.high, our.observationSpace.high] as [number[], number[]];
  for (const [i, high] of theirHigh.entries()) assert.equal(Math.fround(high), Math.fround(ourHigh[i] as number));
  // Ours from their start: float32 observations are the state up to rounding.
  const start = await theirs.reset(3);
  const state = our.state();
  const copies = [0, 1].map((i) => ({
    ...(state.copies[i] as object),
    state: {
      x: start[4 * i],
      xDot: start[4 * i + 1],
      theta: start[4 * i + 2],
      thetaDot: start[4 * i + 3],
      over: false,
    },
  }));
  await our.restore({ ...state, copies });
  for (let step = 0; step < 15; step++) {
    const [a, b] = [await theirs.step(plan(step, 2, 2)), await our.step(plan(step, 2, 2))];
    if (a.terminated.includes(1)) break;
    assert.deepEqual([...a.rewards], [...b.rewards]);
    for (const [i, value] of a.observations.entries())
      assert.ok(Math.abs(value - (b.observations[i] as number)) < 1e-5, `step ${step}`);
  }
});

test(
  "a discrete observation is flattened; unknown names are refused with Gymnasium's hint",
  needsGymnasium,
  async (t) => {
    const lake = await open(t, "FrozenLake-v1", { n: 2 });
    assert.deepEqual(lake.observationSpace.shape, [16]);
    const { observations } = await lake.step(Int32Array.of(2, 1));
    assert.equal(
      [...observations].reduce((sum, value) => sum + value, 0),
      2,
      "one place each",
    );
    await assert.rejects(makeEnvironment("gym:CartPool-v1", { gym: { python } }), refusal(/is not there.*CartPole/));
    await assert.rejects(openGymEnvironment("gym:ALE/NoSuchGame-v5", { python }), refusal(/is not there/));
  },
);

test("Atari Breakout with the standard preprocessing", needs(...asked), async (t) => {
  const game = await open(t, "ALE/Breakout-v5", { n: 2, seed: 1 });
  assert.deepEqual(game.observationSpace, { kind: "box", shape: [4, 84, 84], dtype: "uint8", low: 0, high: 255 });
  assert.deepEqual(game.actionSpace, { kind: "discrete", n: 4 });
  const size = 4 * 84 * 84;
  const first = await game.reset(1);
  assert.ok(first.some((value) => value > 0));
  let reward = 0;
  let newest = first.slice(size - 84 * 84, size);
  for (let step = 0; step < 60; step++) {
    const result = await game.step(step % 4 === 0 ? Int32Array.of(1, 1) : plan(step, 2, 4));
    assert.deepEqual(result.observations.subarray(size - 2 * 84 * 84, size - 84 * 84), newest, "frames move up");
    newest = result.observations.slice(size - 84 * 84, size);
    for (const [i, value] of result.rewards.entries()) {
      assert.equal(value, Math.sign(result.wholeRewards?.[i] ?? Number.NaN), "rewards are clipped");
      reward += value;
    }
    if (result.terminated.includes(1)) break;
  }
  assert.ok(reward > 0, "bricks fell");
  const state = game.state();
  const next = kept(await game.step(Int32Array.of(2, 3)));
  await game.restore(state);
  assert.deepEqual(kept(await game.step(Int32Array.of(2, 3))), next);
});
