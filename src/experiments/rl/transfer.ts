/** Transfer between games: agents of three MinAtar games form a hub, two other games are the targets. */

import {
  type CellGroup,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  quickRemark,
} from "../../compare/index.ts";
import { duration } from "../../report/index.ts";
import { UserError } from "../../torch/index.ts";
import { readSource, sourceAgent, sourceCell } from "./agents.ts";
import { agentName, methodsOf, type Protocol, scratch, transferMethods, transferProtocol } from "./protocol.ts";
import { groupName, identity, readCell, type TransferCell, transferCell } from "./transfer-cell.ts";
import { curveSections, mainSection, sourceSection, transferLines } from "./transfer-tables.ts";

/** Every target with every seed. */
const placesOf = ({ seeds }: ExperimentRequest, { targets }: Protocol) =>
  seeds.flatMap((seed) => targets.map((target) => ({ target, seed })));

/** The source agents first, so that several processes train different ones; then one group for each game and seed. */
function groups(request: ExperimentRequest): CellGroup[] {
  const protocol = transferProtocol(request.quick);
  const sources = protocol.sources.map((game): CellGroup => {
    const name = `source-${agentName(game)}`;
    return {
      name,
      cells: () => [sourceCell(protocol, game)],
      async run() {
        const { final } = await sourceAgent(request, protocol, game, name);
        request.say(`the agent of ${agentName(game)}: return ${final.toFixed(2)}`);
      },
    };
  });
  const targets = placesOf(request, protocol).map((place): CellGroup => {
    return {
      name: groupName(place),
      cells: () => methodsOf(protocol, place.seed).map((method) => identity(protocol, method, place)),
      async run() {
        for (const method of methodsOf(protocol, place.seed)) {
          const { final, seconds } = await transferCell(request, protocol, method, place);
          request.say(`${groupName(place)}, ${method.name}: return ${final.toFixed(2)} in ${duration(seconds)}`);
        }
      },
    };
  });
  return [...sources, ...targets];
}

function finishedCells(request: ExperimentRequest, protocol: Protocol): TransferCell[] {
  const places = placesOf(request, protocol);
  return transferMethods(protocol).flatMap((method) =>
    places.flatMap((place) => readCell(request, protocol, method, place) ?? []),
  );
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const protocol = transferProtocol(request.quick);
  const methods = transferMethods(protocol);
  const cells = finishedCells(request, protocol);
  if (!cells.some(({ method }) => method === scratch)) {
    throw new UserError("nothing is finished yet that the others could be compared with: run the experiment first");
  }
  const { sources, targets, sourceSteps, targetSteps, distilSteps } = protocol;
  const complete = placesOf(request, protocol).reduce((sum, { seed }) => sum + methodsOf(protocol, seed).length, 0);
  const agents = sources.flatMap((game) => {
    const cell = readSource(request, protocol, game);
    return cell ? [{ game, cell }] : [];
  });
  const lines = transferLines(cells, targets);
  const about = {
    title: "What is compared",
    text: [
      `Agents of ${sources.map(agentName).join(", ")} (PPO, ${sourceSteps} steps each) form a hub; the targets are ` +
        `${targets.map(agentName).join(" and ")}, ${targetSteps} steps for every method, with the same settings of PPO, tuned for none. ` +
        `The distilled student's teachers play ${distilSteps} steps more. ` +
        `Up to ${request.seeds.length} seeds, ${cells.length} of ${complete} cells.` +
        quickRemark(request.quick),
    ],
  };
  const names = methods.map(({ name }) => name);
  return {
    title: "Transfer between games",
    sections: [
      about,
      mainSection(lines, protocol),
      ...targets.flatMap((target) => curveSections(cells, target, protocol, names)),
      sourceSection(agents),
    ],
    data: { protocol, lines, cells, agents },
  };
}

export const rlTransfer: Experiment = {
  name: "rl-transfer",
  seeds: 5,
  selfContained: true,
  groups,
  report,
};
