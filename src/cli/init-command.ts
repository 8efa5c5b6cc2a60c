/** hub-pathway init: three questions, a configuration file, and the command that uses it. */
import { existsSync } from "node:fs";
import { cancel, intro, isCancel, outro, select, text } from "@clack/prompts";
import { findHub, starterHub } from "../hub/find-hub.ts";
import { readManifest } from "../hub/manifest.ts";
import { shown } from "../io/quoted.ts";
import { ConfigError, UserError } from "../torch/errors.ts";
import { writeConfig } from "./config-file.ts";
import type { Output } from "./context.ts";
import { interruptedCode } from "./interrupt.ts";
import { commandLine } from "./shell.ts";
import type { TrainSettings } from "./train-settings.ts";

/** Choices of the training's length, in the words of the question. */
const lengths = {
  usual: { label: "as long as is usual for so many images", settings: {} },
  quick: { label: "a first look: a few passes", settings: { epochs: 4 } },
  frozen: { label: "fast: models stay as they are, the rest is trained", settings: { freezeMembers: true } },
  patient: { label: "long, until it gets no better", settings: { epochs: 200, patience: 15 } },
} satisfies Record<string, { label: string; settings: Partial<TrainSettings> }>;

export async function init(path: string, output: Output): Promise<void> {
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true || output.json) {
    const instead = commandLine("train", "./photos");
    throw new ConfigError(
      `init asks questions, and there is no terminal: write ${shown(path)} yourself, or run ${instead}`,
    );
  }
  if (existsSync(path)) throw new ConfigError(`${shown(path)} is there already: remove it, or name another file`);
  intro("Settings for train");
  const settings = await answers();
  if (settings === undefined) {
    cancel("stopped: nothing was written");
    process.exitCode = interruptedCode;
    return;
  }
  writeConfig(path, settings, `Made by hub-pathway init; every option of train may stand here, see train --help.`);
  outro(`${shown(path)} is written. Next:\n  ${commandLine("train", "--config", path)}`);
}

/** The settings that were chosen; undefined once a question is cancelled. */
async function answers(): Promise<Partial<TrainSettings> | undefined> {
  const data = await text({
    message: "Which images? A folder with a sub-folder for each class, or the name of a known data set",
    placeholder: "./photos",
    validate: (given) => (given ? undefined : "name a folder"),
  });
  if (isCancel(data)) return undefined;
  const hub = await text({
    message: "Which hub of models?",
    initialValue: starterHub,
    validate: (given) => problemOf(given ?? ""),
  });
  if (isCancel(hub)) return undefined;
  const options = Object.entries(lengths).map(([value, { label }]) => ({
    value: value as keyof typeof lengths,
    label,
  }));
  const length = await select({ message: "How long?", options });
  if (isCancel(length)) return undefined;
  return { data, hub, ...lengths[length].settings };
}

/** Why a hub cannot be used; undefined when it can. */
function problemOf(hub: string): string | undefined {
  try {
    readManifest(findHub(hub));
    return undefined;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}
