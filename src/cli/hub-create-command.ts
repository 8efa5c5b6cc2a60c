/** hub-pathway hub create and presets: hubs of published networks in one command, and what they hold before it is fetched. */
import {
  createHub,
  forbidsCommercialUse,
  type HubPlan,
  type HubPreset,
  type Outcome,
  type PresetMember,
  planHub,
  presetNames,
  readPreset,
} from "../hub/index.ts";
import { counted, megabytes } from "../io/index.ts";
import { amount, type Column, textTable } from "../report/table.ts";
import { Interrupted } from "../torch/index.ts";
import type { Output } from "./context.ts";
import { networkLine } from "./hub-add-command.ts";
import { sayInterrupted, withInterrupt } from "./interrupt.ts";
import { transferProgress } from "./progress.ts";
import { commandLine } from "./shell.ts";

export interface CreateFlags {
  preset: string;
  only?: string[];
  budget?: number;
  acceptLicence?: boolean;
  alternative?: boolean;
  offline?: boolean;
}

export async function create(hub: string, flags: CreateFlags, output: Output): Promise<void> {
  const { preset: name, offline, ...choice } = flags;
  const preset = readPreset(name);
  await withInterrupt(async (signal) => {
    const progress = transferProgress();
    const fetch = { offline, signal, onProgress: progress.update };
    const plan = await planHub({ hub, preset, ...choice, fetch });
    sayPlan(plan, output);
    try {
      const outcomes = await createHub(plan, (outcome) => sayOutcome(outcome, hub, flags, output));
      sayEnd(plan, outcomes, flags, output);
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      sayInterrupted(hub, true, again(hub, flags), output, "what was fetched is kept");
    } finally {
      progress.stop();
    }
  }, "stopping; what was fetched is kept; again to quit at once");
}

/** The command as it was given, or with other flags. */
function again(hub: string, flags: CreateFlags): string {
  const { preset, only, budget, acceptLicence, alternative, offline } = flags;
  return commandLine(
    ...["hub", "create", hub, "--preset", preset],
    ...(only ? ["--only", only.join(",")] : []),
    ...(budget === undefined ? [] : ["--budget", String(budget)]),
    ...(acceptLicence ? ["--accept-licence"] : []),
    ...(alternative ? ["--alternative"] : []),
    ...(offline ? ["--offline"] : []),
  );
}

function sayPlan({ request, missing, present, leftOut, bytes }: HubPlan, output: Output): void {
  for (const { name, foreign } of present) {
    if (foreign === undefined) output.note(`  ${name} is there`);
    else output.warn(`${name} is there and stays as it is, though it comes from elsewhere: ${foreign}`);
  }
  if (leftOut.length > 0) output.note(`  left out: ${leftOut.join(", ")}`);
  if (missing.length === 0) return;
  output.note(`  ${request.hub} gets ${counted(missing.length, "network")}, about ${megabytes(bytes)} to fetch`);
}

function sayOutcome(outcome: Outcome, hub: string, flags: CreateFlags, output: Output): void {
  const { name } = outcome.member;
  if ("added" in outcome) {
    output.say(`added ${name} to ${hub}: ${networkLine(outcome.added.report)}`);
    return;
  }
  output.warn(`${name} is left out: ${outcome.reason}`);
  if (outcome.alternative === undefined) return;
  const { budget: _, ...others } = flags;
  const other = again(hub, { ...others, only: [name], alternative: true });
  output.warn(`  the same weights are at ${outcome.alternative}: ${other}`);
}

function sayEnd({ request, present }: HubPlan, outcomes: readonly Outcome[], flags: CreateFlags, output: Output): void {
  const { hub, preset } = request;
  const missing = outcomes.flatMap((outcome) => ("added" in outcome ? [] : [outcome]));
  const added = outcomes.flatMap((outcome) => ("added" in outcome ? [outcome.member.name] : []));
  const there = [...present.map(({ name }) => name), ...added];
  if (missing.length === 0) {
    output.say(`${hub} has ${counted(there.length, "network")}: ${commandLine("hub", "show", hub)}`);
  } else {
    const names = missing.map(({ member }) => member.name).join(", ");
    output.warn(`missing in ${hub}: ${names}. Go on with: ${again(hub, flags)}`);
    process.exitCode = 1;
  }
  output.result({
    hub,
    preset: preset.name,
    added,
    present,
    missing: missing.map(({ member, reason, alternative }) => ({ name: member.name, reason, alternative })),
    ...(missing.length > 0 ? { resume: again(hub, flags), exitCode: 1 } : {}),
  });
}

const brief: Column<PresetMember>[] = [
  { title: "member", value: (row) => row.name },
  { title: "file", value: (row) => `${row.about ? "about " : ""}${megabytes(row.bytes)}`, right: true },
  { title: "parameters", value: (row) => amount(row.parameters), right: true },
  { title: "FLOPs", value: (row) => amount(row.flops), right: true },
  { title: "input", value: (row) => `${row.input.size} px`, right: true },
  { title: "licence", value: (row) => `${row.licence}${forbidsCommercialUse(row) ? " *" : ""}` },
];

const full: Column<PresetMember>[] = [
  ...brief,
  { title: "architecture", value: (row) => row.architecture },
  { title: "data", value: (row) => row.data },
  { title: "paradigm", value: (row) => row.paradigm },
];

/** Lists all presets, or one with everything that is known of its members. */
export function presets(name: string | undefined, output: Output): void {
  const read = (name === undefined ? presetNames() : [name]).map((one) => readPreset(one));
  for (const preset of read) {
    const bytes = preset.members.reduce((sum, member) => sum + member.bytes, 0);
    output.say(`${preset.name}: ${preset.summary} (${preset.members.length}, about ${megabytes(bytes)})\n`);
    output.say(textTable(preset.members, name === undefined ? brief : full));
    if (preset.members.some(forbidsCommercialUse)) {
      output.say("* forbids commercial use: taken with --accept-licence only");
    }
    output.say("");
    if (name !== undefined) sayOrigins(preset, output);
  }
  output.result({ presets: read });
}

function sayOrigins({ members }: HubPreset, output: Output): void {
  for (const member of members) {
    const { name, source, sha256, md5, alternative, paper } = member;
    const digits = sha256 === undefined ? md5 && `md5 ${md5}` : `sha256 ${sha256}`;
    const hash = digits ?? (source.startsWith("hf:") ? "sha256 as its repository states it" : "no hash is stated");
    output.say(`${name}: ${paper}`);
    output.say(`    ${source} (${hash})`);
    if (alternative) output.say(`    also ${alternative.source}`);
  }
}
