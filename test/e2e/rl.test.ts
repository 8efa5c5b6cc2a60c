/** rl train and eval, and hub add of an agent, as a user runs them. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import sharp from "sharp";
import { lastLine, runHere, runProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/small-hub.ts";

const folder = temporaryFolder();
const inFolder = (name: string): string => join(folder, name);
const run = (args: string[]) => runHere(args, inFolder("cache"));

const train = (game: string, out: string, steps: number, more: string[] = []) => [
  ...["rl", "train", "--env", `minatar:${game}`, "--algorithm", "ppo", "--out", inFolder(out)],
  ...[
    "--steps",
    String(steps),
    "--copies",
    "4",
    "--set",
    "rollout=32",
    "--set",
    "minibatches=2",
    "--threads",
    "1",
    "--json",
    ...more,
  ],
];

test("agents are trained, form a hub, and Hub-Pathway plays another game over them", async () => {
  for (const game of ["breakout", "freeway"]) {
    const trained = await run(train(game, game, 512));
    assert.equal(trained.code, 0, trained.stderr);
    assert.equal(lastLine(trained.stdout)["steps"], 512);
    const added = await run(["hub", "add", game, inFolder(game), "--hub", inFolder("games"), "--json"]);
    assert.equal(added.code, 0, added.stderr);
  }
  const listed = await run(["hub", "ls", inFolder("games"), "--json"]);
  assert.equal((lastLine(listed.stdout)["members"] as unknown[]).length, 2);
  const verified = await run(["hub", "verify", inFolder("games")]);
  assert.equal(verified.code, 0, verified.stderr);
  const routed = await run(train("asterix", "routed", 512, ["--hub", inFolder("games"), "--k", "1"]));
  assert.equal(routed.code, 0, routed.stderr);
  const mixed = ["--hub", inFolder("games"), "--k", "1", "--keep-heads"];
  const both = await run(train("breakout+freeway", "both", 256, mixed));
  assert.equal(both.code, 0, both.stderr);
  const { network } = JSON.parse(readFileSync(join(inFolder("both"), "agent.json"), "utf8"));
  assert.deepEqual([network.credit, network.config], ["returns", { aggregation: "logits", k: 1 }]);
  const one = await run(["rl", "eval", inFolder("both"), "--game", "breakout", "--episodes", "2", "--json"]);
  assert.equal(one.code, 0, one.stderr);
  assert.equal((lastLine(one.stdout)["returns"] as number[]).length, 2);
  const none = await run(train("breakout", "none", 256, ["--keep-heads"]));
  assert.equal(none.code, 2);
  assert.match(none.stderr, /--keep-heads is about the heads of a hub's agents/);
  const added = await run(["hub", "add", "of-both", inFolder("both"), "--hub", inFolder("more"), "--json"]);
  assert.equal(added.code, 0, added.stderr);
  const refused: [string[], RegExp][] = [
    [
      ["--hub", inFolder("games"), "--credit", "returns"],
      /--credit returns is for ppo with --keep-heads, joined outputs/,
    ],
    [["--hub", inFolder("games"), "--choice", "credit=weights"], /credit is given by --credit/],
  ];
  for (const [flags, said] of refused) {
    const none = await run(train("breakout+freeway", "none", 256, flags));
    assert.deepEqual([none.code, existsSync(inFolder("none"))], [2, false]);
    assert.match(none.stderr, said);
  }
  // A run of before has neither choice, and goes on with the same command.
  const begun = join(inFolder("both"), "agent.json");
  const { credit: _, ...older } = network;
  for (const config of [{ k: 1 }, { k: 1, aggregation: "logits" }]) {
    writeFileSync(begun, JSON.stringify({ ...JSON.parse(readFileSync(begun, "utf8")), network: { ...older, config } }));
    const resumed = await run(train("breakout+freeway", "both", 256, [...mixed, "--resume"]));
    assert.doesNotMatch(resumed.stderr, /holds another run/);
  }
  const foreign = await run(train("breakout", "none", 256, ["--credit", "returns"]));
  assert.match(foreign.stderr, /--credit is about routes over a hub: name one with --hub/);
  const video = inFolder("asterix.gif");
  const played = await run(["rl", "eval", inFolder("routed"), "--episodes", "3", "--video", video, "--json"]);
  assert.equal(played.code, 0, played.stderr);
  const result = lastLine(played.stdout);
  assert.equal((result["returns"] as number[]).length, 3);
  const shares = Object.values(result["pathwayShare"] as Record<string, number>);
  assert.ok(Math.abs(shares.reduce((a, b) => a + b, 0) - 1) < 1e-9);
  const picture = await sharp(video).metadata();
  assert.ok((picture.pages ?? 0) > 3);
  assert.equal(picture.width, 240);
});

test("Ctrl-C saves, says how to go on, and the resumed run ends as an uninterrupted one", async () => {
  const whole = await run(train("breakout", "whole", 2048));
  const kill = { at: /"type":"progress"/, signal: "SIGINT" } as const;
  const stopped = await runProgram(train("breakout", "stopped", 2048), inFolder("cache"), { kill });
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, /everything is saved.*--resume/);
  assert.equal(lastLine(stopped.stdout)["interrupted"], true);
  const resumed = await run(train("breakout", "stopped", 2048, ["--resume"]));
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stderr, /going on from step [1-9]/);
  const outcome = (stdout: string) => ({ ...lastLine(stdout), seconds: 0, out: "" });
  assert.deepEqual(outcome(resumed.stdout), outcome(whole.stdout));
  const weights = (name: string) => {
    const bytes = readFileSync(join(inFolder(name), "agent.checkpoint.safetensors"));
    return bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
  };
  assert.ok(weights("stopped").equals(weights("whole")));
});

test("bad input is one line, a code, and nothing written", async () => {
  const cases: [string[], number, RegExp][] = [
    [["--env", "minatar:tetris"], 2, /no environment "minatar:tetris"; there are: minatar:asterix/],
    [["--env", "cartpole", "--set", "rate=1"], 2, /ppo has no setting "rate"; it has: rollout/],
    [["--env", "cartpole", "--set", "lr=fast"], 2, /setting lr is "fast"/],
    [["--env", "cartpole", "--set", "rollout=0"], 2, /rollout is 0/],
    [["--env", "cartpole", "--steps", "1.5"], 2, /'--steps <n>' argument '1.5' is invalid/],
    [["--env", "cartpole", "--k", "2"], 2, /--k is about routes over a hub/],
    [["--env", "cartpole", "--set", "routes=keptt"], 2, /setting routes is "keptt", which was retired/],
    [["--env", "cartpole", "--member-rate", "0"], 2, /--member-rate is about routes over a hub/],
    [["--env", "cartpole", "--threads", "0"], 2, /'--threads <n>' argument '0' is invalid/],
    [["--env", "cartpole", "--seed", "-1"], 2, /'--seed <n>' argument '-1' is invalid/],
    [["--env", "cartpole", "--hub", "hubs/starter", "--config", "hidden=[8]"], 2, /--config is for new agents/],
    [["--env", "cartpole", "--hub", "hubs/starter", "--k", "2", "--choice", "k=1"], 2, /k is given by --k and by --ch/],
    [["--env", "cartpole", "--network", "lstm"], 1, /unknown architecture "lstm" for observations.*mlp/],
    [["--env", "cartpole", "--hub", inFolder("nowhere")], 1, /nowhere is not a hub/],
    [["--env", "cartpole", "--hub", "hubs/starter"], 1, /has no agents/],
    [["--env", "gym:CartPole-v1", "--python", inFolder("no-python")], 2, /cannot be started as ".*no-python"/],
  ];
  for (const [args, code, message] of cases) {
    const refused = await run(["rl", "train", "--out", inFolder("refused"), ...args]);
    assert.equal(refused.code, code, refused.stderr);
    assert.match(refused.stderr, message);
    assert.equal(refused.stderr.trim().split("\n").length, 1, refused.stderr);
    assert.equal(existsSync(inFolder("refused")), false);
  }
  const none = await run(["rl", "eval", inFolder("nowhere")]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /holds no agent/);
});
