/** Options of `hub-pathway hub`. */
import type { Command } from "commander";
import { starterHub } from "../../hub/find-hub.ts";
import type { Output } from "../context.ts";
import { trustHelp } from "../flags.ts";
import type { HubFlags } from "../hub-command.ts";
import { addMemberCommands } from "./hub-add.ts";
import { hubFlag, type Place, placeOf } from "./place.ts";
import { addRankCommand } from "./rank.ts";

const actions = () => import("../hub-command.ts");

export function addHubCommand(program: Command, output: () => Output): void {
  const hub = program.command("hub").description("hubs of pre-trained models");
  hub
    .command("ls [dir]")
    .description("list a hub's members, as hub.json describes them")
    .option(...hubFlag)
    .addHelpText("after", "\nExample:\n  hub-pathway hub ls\n  hub-pathway hub ls --hub my-hub")
    .action(async (dir: string | undefined, flags: Place) =>
      (await import("../hub-list.ts")).list(placeOf(dir, flags), output()),
    );
  hub
    .command("show [dir] [member]")
    .description("parameters, FLOPs, feature width, paradigm and licence of a hub's members, or all about one")
    .option(...hubFlag)
    .option("--trust", trustHelp)
    .addHelpText("after", "\nExample:\n  hub-pathway hub show hubs/starter resnet-clipart-supervised")
    .action(async (first: string | undefined, second: string | undefined, flags: HubFlags & Place) => {
      const member = flags.hub === undefined ? second : first;
      await (await actions()).show(flags.hub ?? first ?? starterHub, member, flags, output());
    });
  hub
    .command("verify [dir]")
    .description("check hashes, keys, shapes, preprocessing and a forward pass of every member")
    .option(...hubFlag)
    .option("--trust", trustHelp)
    .addHelpText("after", "\nExample:\n  hub-pathway hub verify hubs/starter")
    .action(async (dir: string | undefined, flags: HubFlags & Place) =>
      (await actions()).verify(placeOf(dir, flags), flags, output()),
    );
  addMemberCommands(hub, output);
  addRankCommand(hub, output);
}
