/** Configuration files and completion: what is written is read again, and shells take what is made. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { completionScript, shells } from "../../../src/cli/completion.ts";
import { configText, readConfig, writeConfig } from "../../../src/cli/config-file.ts";
import { buildProgram } from "../../../src/cli/main.ts";
import { resolveSettings } from "../../../src/cli/settings.ts";
import { trainShape } from "../../../src/cli/train-settings.ts";
import { ConfigError } from "../../../src/torch/errors.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const folder = temporaryFolder();

test("settings that are written are read again, and a file's faults are named with their line", () => {
  const settings = resolveSettings(trainShape, {
    data: "my photos",
    hubMemory: 2 ** 31,
    choice: { temperature: 2 },
    k: 3,
  });
  const path = join(folder, "config.yaml");
  writeConfig(path, settings, "a remark");
  assert.deepEqual(readConfig(path), settings);
  assert.match(configText(settings), /^image-size|^batch-size: 48$/m);

  const refused = (text: string, pattern: RegExp) => {
    const bad = join(folder, "bad.yaml");
    writeFileSync(bad, text);
    assert.throws(
      () => readConfig(bad),
      (error: Error) => error instanceof ConfigError && pattern.test(error.message),
    );
  };
  refused("k: 2\nlr: [1\n", /bad\.yaml is not YAML \(line \d+\)/);
  refused("k: 2\nk: 3\n", /not YAML \(line 2\).*unique/i);
  refused("epoch: 3\n", /there is no setting "epoch"/);
  refused("lr: fast\n", /lr is "fast": it must be a number above 0/);
  assert.deepEqual(readConfig(join(folder, "config.yaml")).data, "my photos");
});

const program = buildProgram([]);

test("bash completes commands, options and values once the script is sourced", () => {
  const script = join(folder, "completion.bash");
  writeFileSync(script, completionScript(program, "bash"));
  const completed = (...words: string[]): string[] => {
    const ask = `source "$1"; shift; COMP_WORDS=(hub-pathway "$@"); COMP_CWORD=$#; _hub_pathway; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const text = execFileSync("bash", ["-c", ask, "bash", script, ...words], { encoding: "utf8", cwd: folder });
    return text.split("\n").filter((word) => word !== "");
  };
  assert.deepEqual(completed("tr"), ["train"]);
  assert.deepEqual(completed("hub", "ver"), ["verify"]);
  assert.deepEqual(completed("train", "--hub"), ["--hub", "--hub-memory"]);
  assert.deepEqual(completed("train", "--precision", "bf"), ["bfloat16"]);
  assert.deepEqual(completed("rl", "train", "--algorithm", "p"), ["ppo"]);
  assert.ok(completed("train", "conf").includes("config.yaml"));
});

test("every shell's script names every command", () => {
  for (const shell of shells) {
    const script = completionScript(program, shell);
    for (const word of ["train", "predict", "verify", "check", "hub-memory"]) assert.ok(script.includes(word), shell);
  }
});
