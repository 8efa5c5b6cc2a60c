/** Configuration files of train: settings in YAML, under the names of the flags. */
import { parse, stringify, YAMLParseError } from "yaml";
import { readRegular, reasonOf, shown, writeFileAtomic } from "../io/index.ts";
import { ConfigError } from "../torch/errors.ts";
import { checkConfig, kebab } from "./settings.ts";
import { type TrainSettings, trainShape } from "./train-settings.ts";

const maximumBytes = 1e6;

/**
 * Settings of a file.
 * @throws UserError when it cannot be read; ConfigError when it is no YAML, naming the line, or for settings that are
 * unknown or out of range, naming each
 */
export function readConfig(path: string): Partial<TrainSettings> {
  const text = readRegular(path, { maximumBytes, what: "a configuration" }).toString("utf8");
  return checkConfig(parsed(text, path), trainShape, path);
}

function parsed(text: string, path: string): unknown {
  try {
    return parse(text, { prettyErrors: false, maxAliasCount: 10 });
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    const line = text.slice(0, error.pos[0]).split("\n").length;
    throw new ConfigError(`${shown(path)} is not YAML (line ${line}): ${reasonOf(error)}`, { cause: error });
  }
}

/** Settings as a file that gives them again; those of the place where a run lies are left out. */
export function configText({ out: _out, ...settings }: Partial<TrainSettings>): string {
  const named = Object.entries(settings).map(([name, value]) => [kebab(name), value]);
  return stringify(Object.fromEntries(named));
}

/** Writes settings to a file. @throws UserError when it cannot be written */
export function writeConfig(path: string, settings: Partial<TrainSettings>, remark: string): void {
  writeFileAtomic(path, [`# ${remark}\n${configText(settings)}`]);
}
