/** hub-pathway hub add and rm: models join a hub and leave it. */
import { createInterface } from "node:readline/promises";
import {
  type AddedMember,
  addMember,
  type ImageInput,
  type MemberInput,
  type MemberReport,
  removeMember,
  type Wishes,
} from "../hub/index.ts";
import { architectures, presets } from "../models/index.ts";
import { amount } from "../report/index.ts";
import { addAgentOfRun, isAgentRun } from "../rl/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import type { Output } from "./context.ts";
import { normalisations } from "./flags.ts";
import { transferProgress } from "./progress.ts";
import { kebab } from "./settings.ts";

export interface AddFlags {
  hub: string;
  arch?: string | true;
  config?: string;
  prefix?: string;
  layout?: string;
  under?: string;
  features?: string;
  size?: number;
  normalize?: keyof typeof normalisations;
  mean?: number[];
  std?: number[];
  interpolation?: ImageInput["interpolation"];
  channelOrder?: ImageInput["channelOrder"];
  range?: "1" | "255";
  channels?: "adapt";
  trainedOn?: string;
  /** The same, as it was called. */
  data?: string;
  paradigm?: string;
  licence?: string;
  agent?: string;
  sha256?: string;
  offline?: boolean;
  trust?: boolean;
}

export async function add(name: string, source: string, flags: AddFlags, output: Output): Promise<void> {
  const { hub } = flags;
  const { entry, notes, report } = await (isAgentRun(source) ? addAgent : addModel)(name, source, flags, output);
  for (const note of notes) output.note(`  ${note}`);
  for (const [field, value] of unknowns(entry)) output.warn(`${field} is not known: say it with --${value}`);
  output.say(`added ${name} to ${hub}: ${networkLine(report)}`);
  output.result({ hub, member: entry, notes, ...report });
}

/** A member's network in one line. */
export function networkLine({ architecture, parameters, flops, input, featureWidth }: MemberReport): string {
  const size = `${amount(parameters)} parameters, ${amount(flops)}FLOPs at ${input}`;
  return `${architecture}, ${size}, features ${featureWidth} wide`;
}

async function addModel(name: string, source: string, flags: AddFlags, output: Output): Promise<AddedMember> {
  const { hub, sha256, offline, trust } = flags;
  const progress = transferProgress();
  return addMember({
    hub,
    name,
    source,
    wishes: wishes(flags),
    fetch: { sha256: checkedHash(sha256), offline, onProgress: progress.update },
    trust,
    ...(process.stdin.isTTY && !output.json ? { complete: ask } : {}),
  }).finally(progress.stop);
}

/** Adds an agent that a run trained, instead of a model of images. */
async function addAgent(name: string, run: string, flags: AddFlags): Promise<AddedMember<MemberInput>> {
  const { hub, licence, agent, ...others } = flags;
  const [foreign] = Object.keys(others);
  if (foreign === undefined) return addAgentOfRun({ hub, name, run, licence, agent });
  throw new ConfigError(
    `--${kebab(foreign)} is about models of images, and ${run} is the run of an agent: leave it out`,
  );
}

function unknowns(entry: { licence: string; pretraining: { data: string; paradigm: string } }): [string, string][] {
  const { licence, pretraining } = entry;
  const fields: [string, string, string][] = [
    ["what it was pre-trained on", "trained-on", pretraining.data],
    ["how it was pre-trained", "paradigm", pretraining.paradigm],
    ["its licence", "licence", licence],
  ];
  return fields.flatMap(([what, flag, value]) => (value === "unknown" ? [[what, flag]] : []));
}

function wishes(flags: AddFlags): Wishes {
  const { arch, config, prefix, layout, under, features, trainedOn, data = trainedOn, paradigm, licence } = flags;
  const { size, normalize, interpolation, channelOrder, range, channels } = flags;
  if (arch === true) throw new ConfigError(`--arch needs a name: ${listedNames()}`);
  if (normalize && (flags.mean || flags.std)) throw new ConfigError("give --normalize, or --mean and --std, not both");
  if ((flags.mean === undefined) !== (flags.std === undefined))
    throw new ConfigError("--mean and --std belong together");
  const named = normalize === undefined ? undefined : normalisations[normalize];
  const [mean, std] = named ? [[...named.mean], [...named.std]] : [flags.mean, flags.std];
  const given = { size, mean, std, interpolation, channelOrder };
  const input = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return {
    architecture: arch,
    config: parsedConfig(config),
    prefix,
    layout,
    under,
    features,
    input,
    ...(range === undefined ? {} : { range: range === "1" ? 1 : 255 }),
    channels,
    data,
    paradigm,
    licence,
  };
}

/** Architectures and the published networks of each. */
function listedNames(): string {
  const published = Object.entries(presets());
  const rows = architectures().map(({ name }) => {
    const own = published.flatMap(([preset, { architecture }]) =>
      architecture === name && preset !== name ? [preset] : [],
    );
    return own.length === 0 ? name : `${name} (${own.join(", ")})`;
  });
  return `${rows.join("; ")}; or timm's name of a network with these blocks, such as tf_efficientnet_b0`;
}

function parsedConfig(text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Said below.
  }
  throw new ConfigError(`--config is ${text}: it must be a JSON object such as {"layers":[2,2,2,2]}`);
}

function checkedHash(text: string | undefined): string | undefined {
  if (text === undefined || /^[0-9a-f]{8,64}$/i.test(text)) return text?.toLowerCase();
  throw new ConfigError("--sha256 needs 64 hexadecimal digits, or the first ones (8 at least)");
}

/** Answers of the person at the terminal to the questions that neither the file nor the options answer. */
async function ask(input: Partial<ImageInput>): Promise<Partial<ImageInput>> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const abort = new AbortController();
  terminal.on("SIGINT", () => abort.abort());
  const question = (text: string): Promise<string> => terminal.question(text, abort);
  try {
    const answered = { ...input };
    while (answered.size === undefined) {
      const side = Number(await question("side of the images it takes, in pixels: "));
      if (Number.isInteger(side) && side >= 8 && side <= 4096) answered.size = side;
    }
    while (answered.mean === undefined || answered.std === undefined) {
      const answer = (await question(`normalisation (${Object.keys(normalisations).join(", ")}): `)).trim();
      if (!Object.hasOwn(normalisations, answer)) continue;
      const { mean, std } = normalisations[answer as keyof typeof normalisations];
      Object.assign(answered, { mean: [...mean], std: [...std] });
    }
    return answered;
  } catch (error) {
    throw abort.signal.aborted ? new UserError("stopped: nothing was added") : error;
  } finally {
    terminal.close();
  }
}

export function remove(name: string, hub: string, output: Output): void {
  const removed = removeMember(hub, name);
  output.say(`removed ${name} from ${hub}${removed.length > 0 ? `, with ${removed.join(", ")}` : ""}`);
  output.result({ hub, name, removed });
}
