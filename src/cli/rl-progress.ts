/** Progress of an agent's training on standard error; quiet lines instead of a bar when that is no terminal. */
import { Presets, SingleBar } from "cli-progress";
import type { AgentEvent, EmitAgent } from "../rl/index.ts";

/** Without a terminal about so many lines are written in all. */
const quietLines = 20;

/** Shows steps, return and length of episodes, steps a second, and the share of each agent of a hub. */
export function agentProgress(): { emit: EmitAgent; stop: () => void } {
  const tty = process.stderr.isTTY === true;
  const format = "{bar} {percentage}% | ETA {eta}s | {text}";
  const bar = tty
    ? new SingleBar({ stream: process.stderr, format, hideCursor: true, clearOnComplete: true }, Presets.shades_classic)
    : undefined;
  let members: readonly string[] = [];
  let nextLine = 0;
  const emit = (event: AgentEvent): void => {
    if (event.type === "start") {
      members = event.members;
      bar?.start(event.totalSteps, event.steps, { text: "" });
      if (!tty && event.steps > 0) console.error(`going on from step ${event.steps}`);
    } else if (event.type === "progress") {
      bar?.update(event.steps, { text: progressText(event, members) });
      if (tty || event.steps < nextLine) return;
      nextLine = event.steps + event.totalSteps / quietLines;
      console.error(`step ${event.steps}/${event.totalSteps}: ${progressText(event, members)}`);
    }
  };
  return { emit, stop: () => bar?.stop() };
}

function progressText(event: Extract<AgentEvent, { type: "progress" }>, members: readonly string[]): string {
  const { meanReturn, meanScore, meanLength, stepsPerSecond, shares } = event;
  const score = meanScore === undefined ? "" : ` (score ${meanScore.toFixed(1)})`;
  const episodes =
    meanReturn === undefined || meanLength === undefined
      ? "no episode has ended yet"
      : `return ${meanReturn.toFixed(2)}${score}, length ${meanLength.toFixed(0)}`;
  const used = shares?.map((share, i) => `${members[i]} ${(100 * share).toFixed(0)} %`).join(", ");
  return `${episodes}, ${stepsPerSecond.toFixed(0)} steps/s${used ? ` | ${used}` : ""}`;
}
