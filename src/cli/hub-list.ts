/** hub-pathway hub ls: what hub.json says; no weights are read and no network is made. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { findHub } from "../hub/find-hub.ts";
import { type AgentEntry, type MemberEntry, readManifest } from "../hub/manifest.ts";
import { amount, type Column, textTable } from "../report/table.ts";
import type { Output } from "./context.ts";

interface Listed<Entry> {
  entry: Entry;
  /** Bytes of its weights; undefined where a file is missing. */
  bytes: number | undefined;
}

const size = ({ bytes }: Listed<unknown>): string => (bytes === undefined ? "missing" : `${amount(bytes)}B`);

const memberColumns: Column<Listed<MemberEntry>>[] = [
  { title: "member", value: ({ entry }) => entry.name },
  { title: "architecture", value: ({ entry }) => architecture(entry) },
  { title: "weights", value: size, right: true },
  { title: "width", value: ({ entry }) => String(entry.featureWidth), right: true },
  { title: "input", value: ({ entry }) => `${entry.input.size} px`, right: true },
  { title: "data", value: ({ entry }) => entry.pretraining.data },
  { title: "paradigm", value: ({ entry }) => entry.pretraining.paradigm },
];

const agentColumns: Column<Listed<AgentEntry>>[] = [
  { title: "agent", value: ({ entry }) => entry.name },
  { title: "architecture", value: ({ entry }) => entry.architecture },
  { title: "weights", value: size, right: true },
  { title: "width", value: ({ entry }) => String(entry.featureWidth), right: true },
  { title: "environment", value: ({ entry }) => entry.observation.environment },
  { title: "trained", value: ({ entry }) => `${entry.training.algorithm}, ${amount(entry.training.steps)}steps` },
  { title: "return", value: ({ entry }) => entry.training.meanReturn?.toFixed(2) ?? "", right: true },
];

function architecture({ architecture: name, weights }: MemberEntry): string {
  return name === "graph" ? weights.format : name;
}

/** Bytes of a member's files; undefined where one is missing. */
export function memberBytes(dir: string, { weights }: MemberEntry): number | undefined {
  const files = [weights, ...weights.files].map(({ file }) => file);
  return bytesOf(dir, files);
}

function bytesOf(dir: string, files: readonly string[]): number | undefined {
  const sizes = files.map((file) => statSync(join(dir, file), { throwIfNoEntry: false })?.size);
  return sizes.reduce((sum, bytes) => (sum === undefined || bytes === undefined ? undefined : sum + bytes), 0);
}

export function list(name: string, output: Output): void {
  const dir = findHub(name);
  const manifest = readManifest(dir);
  const members = manifest.members.map((entry) => ({ entry, bytes: memberBytes(dir, entry) }));
  const agents = (manifest.agents ?? []).map((entry) => ({ entry, bytes: bytesOf(dir, [entry.weights.file]) }));
  const tables = [
    ...(members.length > 0 ? [textTable(members, memberColumns)] : []),
    ...(agents.length > 0 ? [textTable(agents, agentColumns)] : []),
  ];
  output.say(tables.join("\n\n"));
  output.result({
    hub: manifest.name,
    members: members.map(({ entry, bytes }) => ({
      name: entry.name,
      architecture: architecture(entry),
      paradigm: entry.pretraining.paradigm,
      data: entry.pretraining.data,
      licence: entry.licence,
      inputSize: entry.input.size,
      featureWidth: entry.featureWidth,
      bytes,
    })),
    ...(agents.length > 0 ? { agents: agents.map(({ entry, bytes }) => agentRow(entry, bytes)) } : {}),
  });
}

function agentRow({ name, architecture: network, featureWidth, observation, training }: AgentEntry, bytes?: number) {
  return { name, architecture: network, featureWidth, environment: observation.environment, ...training, bytes };
}
