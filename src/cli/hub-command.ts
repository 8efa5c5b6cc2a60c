/** hub-pathway hub: what is in a hub, whether it is whole, and what joins or leaves it. */
import {
  describeHub,
  type MemberEntry,
  type MemberReport,
  memberEntry,
  openHub,
  reportMember,
  verifyHub,
} from "../hub/index.ts";
import { amount, type Column, textTable } from "../report/index.ts";
import { type AgentReport, describeAgents, verifyAgents } from "../rl/index.ts";
import { UserError } from "../torch/index.ts";
import type { Output } from "./context.ts";

export interface HubFlags {
  trust?: boolean;
}

const measured: Column<MemberReport>[] = [
  { title: "member", value: (row) => row.name },
  { title: "architecture", value: (row) => row.architecture },
  { title: "parameters", value: (row) => amount(row.parameters), right: true },
  { title: "FLOPs", value: (row) => amount(row.flops), right: true },
  { title: "width", value: (row) => String(row.featureWidth), right: true },
  { title: "input", value: (row) => `${row.inputSize} px`, right: true },
];

const agentColumns: Column<AgentReport>[] = [
  { title: "agent", value: (row) => row.name },
  { title: "architecture", value: (row) => row.architecture },
  { title: "parameters", value: (row) => amount(row.parameters), right: true },
  { title: "FLOPs", value: (row) => amount(row.flops), right: true },
  { title: "width", value: (row) => String(row.featureWidth), right: true },
  { title: "environment", value: (row) => row.environment },
  { title: "trained", value: (row) => `${row.algorithm}, ${amount(row.steps)}steps` },
  { title: "return", value: (row) => row.meanReturn?.toFixed(2) ?? "", right: true },
];

/** Tables of the models of images and of the agents, where there are any. */
function tables(
  members: readonly MemberReport[],
  columns: Column<MemberReport>[],
  agents: readonly AgentReport[],
): string {
  const parts = [
    ...(members.length > 0 ? [textTable([...members], columns)] : []),
    ...(agents.length > 0 ? [textTable([...agents], agentColumns)] : []),
  ];
  return parts.join("\n\n");
}

export function show(dir: string, member: string | undefined, flags: HubFlags, output: Output): void {
  const hub = openHub(dir, flags);
  const agents = describeAgents(hub);
  const agent = agents.find((own) => own.name === member);
  if (agent) {
    for (const { title, value } of agentColumns) output.say(`${title.padEnd(14)} ${value(agent)}`);
    output.result({ ...agent, entry: hub.manifest.agents?.find((own) => own.name === member) });
    return;
  }
  if (member !== undefined) {
    const entry = memberEntry(hub, member);
    const report = reportMember(hub, entry);
    for (const [title, value] of details(entry, report)) output.say(`${title.padEnd(14)} ${value}`);
    output.result({ ...report, entry });
    return;
  }
  const rows = describeHub(hub);
  const columns: Column<MemberReport>[] = [
    ...measured,
    { title: "paradigm", value: (row) => row.paradigm },
    { title: "licence", value: (row) => row.licence },
  ];
  output.say(tables(rows, columns, agents));
  const { fingerprint, manifest } = hub;
  output.result({ hub: manifest.name, fingerprint, members: rows, ...(agents.length > 0 ? { agents } : {}) });
}

function details(entry: MemberEntry, report: MemberReport): [string, string][] {
  const { input, weights, keyMap, pretraining } = entry;
  const map = [
    ...(keyMap.prefix === "" ? [] : [`prefix "${keyMap.prefix}"`]),
    ...(keyMap.layout === undefined ? [] : [`names of ${keyMap.layout}`]),
    ...Object.entries(keyMap.rename).map(([from, to]) => `"${from}" becomes "${to}"`),
    ...(keyMap.drop.length === 0 ? [] : [`without ${keyMap.drop.join(", ")}`]),
  ];
  return [
    ["member", entry.name],
    ["architecture", `${report.architecture} ${JSON.stringify(entry.config)}`],
    ["parameters", amount(report.parameters)],
    ["FLOPs", `${amount(report.flops)} an image`],
    ["features", `${report.featureWidth} wide`],
    ["input", `${input.sides?.join(" x ") ?? input.size} px, ${input.interpolation}, ${input.channelOrder}`],
    ["normalised", `mean ${input.mean.join(", ")}, std ${input.std.join(", ")}`],
    ["pre-training", `${pretraining.data}; ${pretraining.paradigm}`],
    ...(pretraining.quality === undefined ? [] : [["quality", pretraining.quality] as [string, string]]),
    ["weights", `${weights.file} (${weights.format}, sha256 ${weights.sha256.slice(0, 12)}…)`],
    ["keys", map.length === 0 ? "the architecture's own" : map.join("; ")],
    ...(entry.classifier === undefined ? [] : [["classifier", entry.classifier] as [string, string]]),
    ["licence", entry.licence],
    ["source", entry.source],
  ];
}

export function verify(dir: string, flags: HubFlags, output: Output): void {
  const hub = openHub(dir, flags);
  const reports = [...verifyHub(hub), ...verifyAgents(hub)];
  for (const report of reports)
    output.say(report.problems.length === 0 ? `ok    ${report.name}` : `WRONG ${report.problems.join("; ")}`);
  output.result({ hub: hub.manifest.name, members: reports });
  const broken = reports.filter((report) => report.problems.length > 0);
  if (broken.length > 0)
    throw new UserError(`${broken.length} of ${reports.length} members of ${hub.dir} are not usable`);
}
