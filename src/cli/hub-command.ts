/** hub-pathway hub: what is in a hub, and whether it is whole. */
import type { Command } from "commander";
import { describeHub, memberEntry, openHub, verifyHub } from "../hub/index.ts";
import { amount, textTable } from "../report/index.ts";
import { UserError } from "../torch/index.ts";
import type { Output } from "./context.ts";

export function addHubCommand(program: Command, output: () => Output): void {
  const hub = program.command("hub").description("hubs of pre-trained models");
  hub
    .command("ls [dir]")
    .description("list a hub's members")
    .addHelpText("after", "\nExample:\n  hub-pathway hub ls hubs/starter")
    .action((dir: string = "hubs/starter") => list(dir, output()));
  hub
    .command("show <dir> [member]")
    .description("a hub's manifest, or all about one member")
    .addHelpText("after", "\nExample:\n  hub-pathway hub show hubs/starter resnet-clipart-supervised")
    .action((dir: string, member: string | undefined) => show(dir, member, output()));
  hub
    .command("verify [dir]")
    .description("check hashes, keys, shapes and a forward pass of every member")
    .addHelpText("after", "\nExample:\n  hub-pathway hub verify hubs/starter")
    .action((dir: string = "hubs/starter") => verify(dir, output()));
}

function list(dir: string, output: Output): void {
  const hub = openHub(dir);
  const rows = describeHub(hub);
  output.say(
    textTable(rows, [
      { title: "member", value: (row) => row.name },
      { title: "architecture", value: (row) => row.architecture },
      { title: "parameters", value: (row) => amount(row.parameters), right: true },
      { title: "FLOPs", value: (row) => amount(row.flops), right: true },
      { title: "width", value: (row) => String(row.featureWidth), right: true },
      { title: "input", value: (row) => `${row.inputSize} px`, right: true },
      { title: "data", value: (row) => row.data },
      { title: "paradigm", value: (row) => row.paradigm },
    ]),
  );
  output.result({ hub: hub.manifest.name, members: rows });
}

function show(dir: string, member: string | undefined, output: Output): void {
  const hub = openHub(dir);
  const shown = member === undefined ? hub.manifest : memberEntry(hub, member);
  output.say(JSON.stringify(shown, null, 2));
  output.result(shown);
}

function verify(dir: string, output: Output): void {
  const hub = openHub(dir);
  const reports = verifyHub(hub);
  for (const report of reports)
    output.say(report.problems.length === 0 ? `ok    ${report.name}` : `WRONG ${report.problems.join("; ")}`);
  output.result({ hub: hub.manifest.name, members: reports });
  const broken = reports.filter((report) => report.problems.length > 0);
  if (broken.length > 0)
    throw new UserError(`${broken.length} of ${reports.length} members of ${hub.dir} are not usable`);
}
