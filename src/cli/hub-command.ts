/** hub-pathway hub: what is in a hub, whether it is whole, and what joins or leaves it. */
import {
  anyInput,
  describeHub,
  type MemberEntry,
  type MemberInput,
  type MemberReport,
  memberEntry,
  openHub,
  reportMember,
  verifyHub,
} from "../hub/index.ts";
import { amount, type Column, textTable } from "../report/index.ts";
import { UserError } from "../torch/index.ts";
import type { Output } from "./context.ts";

export interface HubFlags {
  trust?: boolean;
}

const columns: Column<MemberReport>[] = [
  { title: "member", value: (row) => row.name },
  { title: "architecture", value: (row) => row.architecture },
  { title: "parameters", value: (row) => amount(row.parameters), right: true },
  { title: "FLOPs", value: (row) => amount(row.flops), right: true },
  { title: "width", value: (row) => String(row.featureWidth), right: true },
  { title: "input", value: (row) => row.input, right: true },
  { title: "paradigm", value: (row) => row.paradigm },
  { title: "licence", value: (row) => row.licence },
];

export function show(dir: string, member: string | undefined, flags: HubFlags, output: Output): void {
  const hub = openHub(dir, { ...flags, inputs: anyInput });
  if (member !== undefined) {
    const entry = memberEntry(hub, member);
    const report = reportMember(hub, entry);
    for (const [title, value] of details(entry, report)) output.say(`${title.padEnd(14)} ${value}`);
    output.result({ ...report, entry });
    return;
  }
  const members = describeHub(hub);
  output.say(textTable(members, columns));
  output.result({ hub: hub.manifest.name, fingerprint: hub.fingerprint, members });
}

function details(entry: MemberEntry, report: MemberReport): [string, string][] {
  const { input, weights, keyMap, policy, pretraining } = entry;
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
    ["FLOPs", `${amount(report.flops)} an ${input.kind}`],
    ["features", `${report.featureWidth} wide`],
    ...inputDetails(input),
    ...(policy === undefined ? [] : [["actions", policy.actions.join(", ")] as [string, string]]),
    ["pre-training", `${pretraining.data}; ${pretraining.paradigm}`],
    ...(pretraining.quality === undefined ? [] : [["quality", pretraining.quality] as [string, string]]),
    ["weights", `${weights.file} (${weights.format}, sha256 ${weights.sha256.slice(0, 12)}…)`],
    ["keys", map.length === 0 ? "the architecture's own" : map.join("; ")],
    ...(entry.classifier === undefined ? [] : [["classifier", entry.classifier] as [string, string]]),
    ["licence", entry.licence],
    ["source", entry.source],
  ];
}

function inputDetails(input: MemberInput): [string, string][] {
  if (input.kind === "observation") {
    return [["input", `${input.shape.join(" x ")} of ${input.environment}: ${input.channels.join(", ")}`]];
  }
  return [
    ["input", `${input.sides?.join(" x ") ?? input.size} px, ${input.interpolation}, ${input.channelOrder}`],
    ["normalised", `mean ${input.mean.join(", ")}, std ${input.std.join(", ")}`],
  ];
}

export function verify(dir: string, flags: HubFlags, output: Output): void {
  const hub = openHub(dir, { ...flags, inputs: anyInput });
  const reports = verifyHub(hub);
  for (const report of reports)
    output.say(report.problems.length === 0 ? `ok    ${report.name}` : `WRONG ${report.problems.join("; ")}`);
  output.result({ hub: hub.manifest.name, members: reports });
  const broken = reports.filter((report) => report.problems.length > 0);
  if (broken.length > 0)
    throw new UserError(`${broken.length} of ${reports.length} members of ${hub.dir} are not usable`);
}
