/** All methods of the main comparison for one seed: members, ensembles, the best member with the whole compute, ours. */
import { openHub } from "../../src/hub/index.ts";
import type { SplitName } from "../../src/train/index.ts";
import { type Cell, type CellRequest, memberCell, pathwayCell } from "./cells.ts";
import { bestByValidation, bestStaticSet, type Entry, ensembleEntry, entryOf } from "./rivals.ts";

export interface SeedResult {
  entries: Entry[];
  /** The cells behind the two lines of Hub-Pathway. */
  pathways: Cell[];
  memberNames: string[];
}

/**
 * Trains whatever is missing and returns the table's lines, measured on `split`. Choices (best member, best pair) use the
 * validation split only.
 */
export async function runSeed(request: CellRequest, split: SplitName): Promise<SeedResult> {
  const { protocol, data } = request;
  const memberNames = openHub(protocol.hub).manifest.members.map((member) => member.name);
  const [m, k, epochs, classes] = [memberNames.length, protocol.pathway.k ?? 2, protocol.epochs, data.classes.length];
  const members: Cell[] = [];
  for (const name of memberNames) members.push(await memberCell(request, name, epochs));
  const best = bestByValidation(members);
  const bestName = memberNames[best] ?? "";
  const whole = await memberCell(request, bestName, m * epochs);
  const ours = { name: "hub-pathway", config: {} };
  const equalEpochs = await pathwayCell(request, ours, epochs);
  const equalCompute = await pathwayCell(request, ours, Math.round((m / k) * epochs));
  const all = memberNames.map((_, i) => i);
  const pair = bestStaticSet(members, k, classes);
  const entries = [
    ...members.map((cell, i) =>
      entryOf(cell, memberNames[i] ?? "", "equal epochs", split, i === best ? "best by validation" : ""),
    ),
    entryOf(whole, "best member, whole compute", "equal compute", split, bestName),
    ensembleEntry(members, pair, `best static set of ${k}`, classes, split),
    { ...ensembleEntry(members, all, "ensemble of all", classes, split), detail: "" },
    entryOf(equalEpochs, `Hub-Pathway, k = ${k}`, "equal epochs", split, routesText(equalEpochs, split)),
    entryOf(equalCompute, `Hub-Pathway, k = ${k}`, "equal compute", split, routesText(equalCompute, split)),
  ];
  return { entries, pathways: [equalEpochs, equalCompute], memberNames };
}

function routesText(cell: Cell, split: SplitName): string {
  const shares = cell.splits[split]?.shares ?? [];
  return `shares ${shares.map((share) => Math.round(100 * share)).join("/")} %`;
}
