/** Settings of train: ranges, messages, help and files come from one schema each. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { main } from "../../../src/cli/main.ts";
import { addSettings, checkConfig, kebab, resolveSettings } from "../../../src/cli/settings.ts";
import { methodChoices, trainShape } from "../../../src/cli/train-settings.ts";
import { mostThreads } from "../../../src/torch/environment.ts";
import { ConfigError } from "../../../src/torch/errors.ts";
import { must } from "../../../src/torch/setting.ts";

/** Output and exit code of the program, in this process. */
async function said(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { log } = console;
  const { write } = process.stderr;
  let [out, err] = ["", ""];
  console.log = (line: string) => {
    out += `${line}\n`;
  };
  process.stderr.write = ((text: string) => {
    err += text;
    return true;
  }) as typeof write;
  try {
    return { code: await main(args), out, err };
  } finally {
    console.log = log;
    process.stderr.write = write;
    process.exitCode = 0;
  }
}

const outOfRange: [string, string, string][] = [
  ["--lr", "-1", "a number above 0 and at most 10"],
  ["--lr", "1e9", "a number above 0 and at most 10"],
  ["--weight-decay", "-5", "a number from 0 to 10"],
  ["--seed", "1.5", "a whole number of at least 0"],
  ["--seed", "-1", "a whole number of at least 0"],
  ["--image-size", "7", "a whole number from 8 to 4096"],
  ["--image-size", "5000", "a whole number from 8 to 4096"],
  ["--threads", "0", `a whole number from 1 to ${mostThreads}`],
  ["--threads", "100000", `a whole number from 1 to ${mostThreads}`],
  ["--label-smoothing", "3", "a number of at least 0 and below 1"],
  ["--validation-fraction", "1", "a number above 0 and below 1"],
  ["--test-fraction", "-0.1", "a number of at least 0 and below 1"],
  ["--k", "0", "a whole number of at least 1"],
  ["--epochs", "zwei", "a whole number from 1 to 100000"],
  ["--patience", "0", "a whole number from 1 to 100000"],
  ["--batch-size", "0", "a whole number from 1 to 65536"],
  ["--optimizer", "adam", "one of adamw, sgd"],
  ["--hub-memory", "lots", "an amount of memory such as 800MB or 2GiB"],
  ["--tau", "cold", "a number of at least 0.001 or equal"],
  ["--decay-steps", "6000,many", "whole numbers of at least 1, with commas between them"],
  ["--warmup", "1", "a number of at least 0 and below 1"],
  ["--fit", "stretch", "one of crop, squash"],
  ["--crop-scale", "0", "a number above 0 and at most 1"],
  ["--crop-from", "7", "a whole number from 8 to 4096"],
  ["--exploitation-weight", "all", "a number of at least 0 or each"],
];

test("a value out of range ends with 2, naming option, value and range; with --json in one line too", async () => {
  for (const [option, value, range] of outOfRange) {
    const { code, out, err } = await said("train", "photos", option, value, "--json");
    assert.equal(code, 2, err);
    const lines = out.trim().split("\n");
    assert.equal(lines.length, 1);
    const { error, exitCode } = JSON.parse(lines[0] ?? "") as { error: string; exitCode: number };
    assert.equal(exitCode, 2);
    assert.ok(error.includes(`'${option} `) && error.includes(`'${value}'`) && error.includes(range), error);
    assert.ok(err.includes(range), err);
  }
});

test("every flag of rl, experiment, eval and rank that counts refuses what is no count", async () => {
  for (const args of [
    ["rl", "train", "--env", "cartpole", "--out", "x", "--steps", "0.5"],
    ["rl", "eval", "x", "--episodes", "-3"],
    ["experiment", "cost", "--jobs", "0"],
    ["experiment", "cost", "--seeds", "1e400"],
    ["hub", "rank", "--data", "x", "--limit", "0"],
    ["hub", "add", "a", "b", "--hub", "c", "--size", "7"],
  ]) {
    const { code, err } = await said(...args);
    assert.equal(code, 2, `${args.join(" ")}: ${err}`);
    assert.match(err, /It must be a whole number/, args.join(" "));
  }
});

test("usage errors end in one line of JSON, whatever is wrong", async () => {
  for (const args of [
    ["train", "--dat"],
    ["nothing"],
    ["init"],
    ["completion", "csh"],
    ["train"],
    ["hub", "rank"],
    ["train", "a", "--data", "b"],
  ]) {
    const { code, out } = await said(...args, "--json");
    assert.equal(code, 2, args.join(" "));
    assert.equal((JSON.parse(out) as { exitCode: number }).exitCode, 2);
  }
});

test("every setting with a flag is in --help, with its default", () => {
  const command = addSettings(new Command("train"), trainShape);
  const help = command.helpInformation().replaceAll(/\s+/g, " ");
  for (const flag of ["--epochs", "--label-smoothing", "--hub-memory"]) assert.ok(help.includes(flag), flag);
  assert.match(help, /--lr <rate> learning rate of pre-trained weights \(default: 0\.001\)/);
  assert.match(
    help,
    /--augment <recipe> augmentation: none, standard, randaugment, mixup, crops \(default: standard\)/,
  );
});

test("a configuration file names what is unknown or out of range, and takes every setting", () => {
  const refused = (given: unknown, pattern: RegExp) =>
    assert.throws(
      () => checkConfig(given, trainShape, "run.yaml"),
      (error: Error) => error instanceof ConfigError && pattern.test(error.message),
    );
  refused({ epocs: 3 }, /run\.yaml: there is no setting "epocs"/);
  refused({ imageSize: 48 }, /"imageSize": do you mean image-size\?/);
  refused({ lr: -1, k: 2.5 }, /lr is -1: it must be a number above 0.*k is 2\.5: it must be a whole number/);
  refused(["lr"], /name: value/);
  assert.deepEqual(checkConfig(undefined, trainShape, "run.yaml"), {});
  const given = { "image-size": 48, "hub-memory": "1KiB", tau: "equal", choice: { temperature: 2 }, "clip-norm": 1 };
  const found = checkConfig(given, trainShape, "run.yaml");
  assert.deepEqual(found, { imageSize: 48, hubMemory: 1024, tau: "equal", choice: { temperature: 2 }, clipNorm: 1 });
});

test("each choice of the pathway that has help has a flag, of the same range, and no default that would be recorded", () => {
  const given = {
    k: 1,
    beta: 0.5,
    pathwayWarmup: 0.3,
    noise: "learned" as const,
    explorationFade: "constant" as const,
  };
  const { pathwayWarmup: warmup, ...same } = given;
  assert.deepEqual(methodChoices(resolveSettings(trainShape, given)), { ...same, warmup });
  assert.deepEqual(methodChoices(resolveSettings(trainShape, {})), {});
  assert.equal(must(trainShape.pathwayWarmup), "a number from 0 to 1");
  assert.equal(must(trainShape.aggregation), "one of logits, features");
  assert.ok(!("generatorWidth" in trainShape));
});

test("settings that were resolved are a whole configuration again", () => {
  const settings = resolveSettings(trainShape, { data: "photos", lr: 0.01, skipBad: true });
  const written = Object.fromEntries(Object.entries(settings).map(([name, value]) => [kebab(name), value]));
  assert.deepEqual(resolveSettings(trainShape, checkConfig(written, trainShape, "config.yaml")), settings);
  assert.equal(settings.batchSize, 48);
  assert.equal(must(trainShape.keep), "one of best, last");
});
