/** hub-pathway hub ls: what hub.json says; no weights are read and no network is made. */
import { describeEntry, findHub, memberBytes, readManifest } from "../hub/index.ts";
import { amount, type Column, textTable } from "../report/table.ts";
import type { Output } from "./context.ts";

interface Row extends ReturnType<typeof describeEntry> {
  /** Bytes of its weights; undefined where a file is missing. */
  bytes: number | undefined;
}

const columns: Column<Row>[] = [
  { title: "member", value: (row) => row.name },
  { title: "architecture", value: (row) => row.architecture },
  { title: "weights", value: ({ bytes }) => (bytes === undefined ? "missing" : `${amount(bytes)}B`), right: true },
  { title: "width", value: (row) => String(row.featureWidth), right: true },
  { title: "input", value: (row) => row.input, right: true },
  { title: "data", value: (row) => row.data },
  { title: "paradigm", value: (row) => row.paradigm },
];

export function list(name: string, output: Output): void {
  const dir = findHub(name);
  const manifest = readManifest(dir);
  const members = manifest.members.map((entry) => ({ ...describeEntry(entry), bytes: memberBytes(dir, entry) }));
  output.say(textTable(members, columns));
  output.result({ hub: manifest.name, members });
}
