/** What to do with a finished run. */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type RoutingVerdict, routesPay } from "../report/index.ts";
import type { TaskData } from "../train/index.ts";
import { commandLine } from "./shell.ts";

/** Commands to run next, each line as it can be pasted. */
export function nextCommands(
  out: string,
  source: string | undefined,
  data: TaskData,
  verdict: RoutingVerdict | undefined,
): string[] {
  const { counts, items, ids } = data;
  const [first] = items("validation");
  const id = first === undefined ? undefined : ids[first];
  const image = id === undefined || source === undefined ? undefined : placesOf(source, id).find(isFile);
  return [
    ...(counts.test > 0 ? [commandLine("eval", out, "--split", "test")] : []),
    ...(image === undefined ? [] : [commandLine("predict", out, image)]),
    commandLine("report", out),
    ...(verdict && !routesPay(verdict) ? [fixedExport(out, verdict)] : []),
  ];
}

const fixedExport = (out: string, { fixedModels }: RoutingVerdict): string =>
  commandLine("export", out, "--models", fixedModels.join(","), "--out", "bundle");

/** Where an image may be: in the folder, or beside the file that lists it. */
const placesOf = (source: string, id: string) => [isFile(source) ? join(dirname(source), id) : join(source, id), id];

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;
