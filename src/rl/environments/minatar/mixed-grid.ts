/**
 * Several MinAtar games in one batch, for one policy that plays them all; what it sees tells which game it is. n copies, C
 * channels of all games together.
 *
 * The games' channels stand side by side and one of the same name is shared, so that a cell means the same in all of
 * them; channels that a game does not have stay empty in its copies. The actions are the six keys of every game. The first
 * copies play the first game, and so on, as evenly as n allows.
 */
import { ConfigError } from "../../../torch/index.ts";
import { checkState } from "../local-environment.ts";
import type {
  Actions,
  Box,
  Discrete,
  EnvironmentState,
  Observations,
  StepResult,
  VectorEnvironment,
} from "../types.ts";
import { type Channel, cells, type GridEnvironment, keys, side } from "./grid.ts";

/** A game of a mix. */
export interface MixedGame {
  /** As in "minatar:NAME". */
  readonly name: string;
  readonly channels: readonly Channel[];
}

interface Part {
  environment: GridEnvironment;
  /** First of its copies. */
  from: number;
  /** For each of its channels the place among all. */
  places: readonly number[];
}

export class MixedGrids implements VectorEnvironment {
  readonly id: string;
  readonly n: number;
  readonly observationSpace: Box;
  readonly actionSpace: Discrete = { kind: "discrete", n: keys.length, names: keys };
  readonly channels: readonly Channel[];
  readonly games: readonly MixedGame[];
  readonly #parts: readonly Part[];
  readonly #result: StepResult;

  /**
   * @param games all games of the mix
   * @param played the environments of those that are played, in order, with their copies
   */
  constructor(id: string, games: readonly MixedGame[], played: readonly GridEnvironment[]) {
    this.id = id;
    this.games = games;
    const all = new Map(games.flatMap(({ channels }) => channels.map((channel) => [channel.name, channel] as const)));
    this.channels = [...all.values()];
    const place = new Map([...all.keys()].map((name, i) => [name, i]));
    let from = 0;
    this.#parts = played.map((environment) => {
      const part = { environment, from, places: environment.channels.map(({ name }) => place.get(name) as number) };
      from += environment.n;
      return part;
    });
    this.n = from;
    this.observationSpace = { kind: "box", shape: [all.size, side, side], dtype: "uint8", low: 0, high: 1 };
    const values = () => new Uint8Array(this.n * all.size * cells);
    this.#result = {
      observations: values(),
      rewards: new Float32Array(this.n),
      terminated: new Uint8Array(this.n),
      truncated: new Uint8Array(this.n),
      finalObservations: values(),
    };
  }

  reset(seed?: number): Observations {
    return this.#gather(({ environment, from }) => environment.reset(seed === undefined ? undefined : seed + from));
  }

  /** @throws RangeError unless there is one of the six keys for each copy */
  step(actions: Actions): StepResult {
    if (actions.length !== this.n) throw new RangeError(`${actions.length} actions for ${this.n} copies of ${this.id}`);
    const { observations, rewards, terminated, truncated, finalObservations } = this.#result;
    for (const part of this.#parts) {
      const { environment, from } = part;
      const result = environment.step(actions.subarray(from, from + environment.n));
      rewards.set(result.rewards, from);
      terminated.set(result.terminated, from);
      truncated.set(result.truncated, from);
      this.#show(part, result.observations, observations);
      this.#show(part, result.finalObservations, finalObservations);
    }
    return this.#result;
  }

  state(): EnvironmentState {
    return { environment: this.id, copies: this.#parts.flatMap(({ environment }) => environment.state().copies) };
  }

  /** @throws UserError when the state is not one of this environment with as many copies */
  restore(saved: EnvironmentState): Observations {
    checkState(saved, this.id, this.n);
    const before = this.#parts.map(({ environment }) => environment.state());
    try {
      return this.#gather(({ environment: { id, n }, environment, from }) =>
        environment.restore({ environment: id, copies: saved.copies.slice(from, from + n) }),
      );
    } catch (error) {
      for (const [i, { environment }] of this.#parts.entries()) environment.restore(before[i] as EnvironmentState);
      throw error;
    }
  }

  close(): void {}

  #gather(observed: (part: Part) => Observations): Observations {
    const { observations } = this.#result;
    for (const part of this.#parts) this.#show(part, observed(part), observations);
    return observations;
  }

  /** Puts a game's own channels in their places; the others of its copies are never written. */
  #show({ environment, from, places }: Part, own: Observations, out: Observations): void {
    const count = this.channels.length;
    for (let copy = 0, at = 0; copy < environment.n; copy++) {
      for (const channel of places) {
        out.set(own.subarray(at, at + cells), ((from + copy) * count + channel) * cells);
        at += cells;
      }
    }
  }
}

/** Names of the games of "minatar:A+B+…"; none of other names. @throws ConfigError when one is named twice */
export function mixedNames(id: string): string[] {
  if (!id.startsWith("minatar:") || !id.includes("+")) return [];
  const names = id.slice("minatar:".length).split("+");
  if (new Set(names).size < names.length) throw new ConfigError(`${id}: a mix names each of its games once`);
  return names;
}

/** Copies of each of the games: as even as n allows. @throws ConfigError when a game would have none */
export function copiesOf(id: string, games: number, n: number): number[] {
  if (n < games) throw new ConfigError(`${id} has ${games} games and ${n} copies: at least one for each game`);
  return Array.from({ length: games }, (_, i) => Math.floor((n + games - 1 - i) / games));
}
