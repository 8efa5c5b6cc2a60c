/** Progress of an agent's training on standard error. */
import { shown } from "../io/quoted.ts";
import type { AgentEvent, EmitAgent } from "../rl/index.ts";
import { bar, left, Pace, stopwatch } from "./progress.ts";
import { terminal } from "./terminal.ts";

/** Shows steps, return and length of episodes, steps a second, and the share of each agent of a hub. */
export function agentProgress(): { emit: EmitAgent; stop: () => void } {
  const pace = new Pace();
  const clock = stopwatch();
  let members: readonly string[] = [];
  let began = 0;
  let total = 0;
  const emit = (event: AgentEvent): void => {
    if (event.type === "start") {
      ({ members, steps: began, totalSteps: total } = event);
      if (began > 0) terminal.progress(`going on from step ${began} of ${total}`);
    } else if (event.type === "progress") {
      pace.show(() => {
        const remains = left(clock(), event.steps - began, total - began);
        const done = terminal.isTerminal ? `${bar(event.steps, total)} ` : "";
        return `${done}step ${event.steps}/${total}: ${progressText(event, members)}${remains}`;
      });
    }
  };
  return { emit, stop: () => terminal.status("") };
}

function progressText(event: Extract<AgentEvent, { type: "progress" }>, members: readonly string[]): string {
  const { meanReturn, meanScore, meanLength, stepsPerSecond, shares } = event;
  const score = meanScore === undefined ? "" : ` (score ${meanScore.toFixed(1)})`;
  const episodes =
    meanReturn === undefined || meanLength === undefined
      ? "no episode has ended yet"
      : `return ${meanReturn.toFixed(2)}${score}, length ${meanLength.toFixed(0)}`;
  const used = shares?.map((share, i) => `${shown(members[i] ?? "")} ${(100 * share).toFixed(0)} %`).join(", ");
  return `${episodes}, ${stepsPerSecond.toFixed(0)} steps/s${used ? ` | ${used}` : ""}`;
}
