/** A rank's wait for the store of all, in which the process still hears signals and can say what it waits for. */
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { CollectiveError, Interrupted } from "../torch/index.ts";
import type { Contract } from "./contract.ts";

/** Milliseconds between two tries, of a try, and before the first word. */
const [between, longest, silence] = [300, 5000, 10_000];

/**
 * Waits until the store answers. The rank that serves it does not wait.
 * @param seconds that ranks have to find each other
 * @param say is told once, after ten seconds, what the rank waits for
 * @throws Interrupted when the signal is aborted; CollectiveError when nobody answers in time
 */
export async function untilServed(
  { rank, worldSize, host, port, isServed }: Contract,
  seconds: number,
  say: (why: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (rank === 0 && !isServed) return;
  const began = Date.now();
  let said = false;
  for (;;) {
    const fault = await knock(host, port);
    if (signal.aborted) throw new Interrupted("start of ranks");
    if (fault === undefined) return;
    const waited = Date.now() - began;
    if (waited > 1000 * seconds) {
      const late = `no answer from the first rank at ${host}:${port} within ${seconds} s (${fault})`;
      throw new CollectiveError(
        `rank ${rank} of ${worldSize}: ${late}: start it there, or set MASTER_ADDR and MASTER_PORT`,
      );
    }
    if (!said && waited > silence) {
      say(`no answer from the first rank at ${host}:${port} yet (${fault}); waiting for up to ${seconds} s`);
      said = true;
    }
    await pause(between);
  }
}

/** Why nobody answers there; undefined where somebody does. */
async function knock(host: string, port: number): Promise<string | undefined> {
  const socket = connect({ host, port });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(longest) });
    return undefined;
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    return name === "AbortError" ? "ETIMEDOUT" : (code ?? name);
  } finally {
    socket.on("error", () => {});
    socket.destroy();
  }
}
