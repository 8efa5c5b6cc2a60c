/**
 * Observations as networks take them, whatever environment they come from. n observations, C channels of H x W.
 *
 * Every observation becomes [C, H, W] of float32: grids and frames as they are, a vector of C numbers as a picture of one
 * pixel, [C, 1, 1]. Bytes are divided by their space's largest value.
 */
import { type Tensor, tensor, UserError } from "../../torch/index.ts";
import { type Box, MixedGrids, type Observations, type VectorEnvironment } from "../environments/index.ts";

/** Form of one observation of an environment. */
export interface ObservationForm {
  readonly environment: string;
  /** [C, H, W]. */
  readonly shape: readonly [number, number, number];
  /** Name of each channel. */
  readonly channels: readonly string[];
  /** Of a mix of games: the channels of each. */
  readonly games?: readonly (readonly string[])[];
  /** Elements are divided by it. */
  readonly scale: number;
  /** C · H · W. */
  readonly elements: number;
}

/** Names of the numbers of classic control, in their order. */
const vectors: Readonly<Record<string, readonly string[]>> = {
  cartpole: ["cart position", "cart velocity", "pole angle", "pole velocity"],
  acrobot: ["cosine 1", "sine 1", "cosine 2", "sine 2", "velocity 1", "velocity 2"],
  "mountain-car": ["car position", "car velocity"],
};

/**
 * Form of an environment's observations.
 * @throws UserError for observations that are neither vectors nor pictures
 */
export function observationForm(environment: VectorEnvironment): ObservationForm {
  const { id, observationSpace: space } = environment;
  const shape = pictureShape(id, space);
  const [channels, height, width] = shape;
  const scale = space.dtype === "uint8" && typeof space.high === "number" ? Math.max(1, space.high) : 1;
  const elements = channels * height * width;
  const games = environment instanceof MixedGrids ? { games: environment.games.map(namesOf) } : {};
  return { environment: id, shape, channels: channelNames(environment, channels, space), ...games, scale, elements };
}

const namesOf = ({ channels }: Pick<MixedGrids, "channels">) => channels.map(({ name }) => name);

function pictureShape(id: string, { shape }: Box): readonly [number, number, number] {
  const [a = 1, b = 1, c = 1] = shape;
  if (shape.length === 1) return [a, 1, 1];
  if (shape.length === 2) return [1, a, b];
  if (shape.length === 3) return [a, b, c];
  throw new UserError(
    `${id} has observations of the shape [${shape.join(", ")}]: only vectors, [H, W] and [C, H, W] can be learned from`,
  );
}

/** Channels of unknown meaning are named by the environment, so that they only ever match its own. */
function channelNames(environment: VectorEnvironment, count: number, space: Box): readonly string[] {
  if ("channels" in environment) return (environment.channels as { name: string }[]).map(({ name }) => name);
  const { id } = environment;
  const known = Object.hasOwn(vectors, id) ? vectors[id] : undefined;
  if (known?.length === count) return known;
  const isFrames = id.startsWith("gym:ALE/") && space.dtype === "uint8" && space.shape.length === 3;
  return Array.from({ length: count }, (_, i) => (isFrames ? `frame ${i}` : `${id} ${i}`));
}

/** [n, C, H, W] of n observations. */
export function encode(observations: Observations, form: ObservationForm): Tensor {
  const shape = [observations.length / form.elements, ...form.shape];
  if (observations instanceof Float32Array) return tensor(observations, { shape });
  const values = tensor(observations, { shape, dtype: "float32" });
  return form.scale === 1 ? values : values.div(form.scale);
}

/** Room for n observations in an environment's own numbers. */
export function observationArray(environment: VectorEnvironment, n: number, elements: number): Observations {
  return environment.observationSpace.dtype === "uint8" ? new Uint8Array(n * elements) : new Float32Array(n * elements);
}

/** Names of the actions, by index. @throws UserError for actions that are not a choice out of n */
export function actionNames(environment: VectorEnvironment): readonly string[] {
  const { id, actionSpace } = environment;
  if (actionSpace.kind !== "discrete") {
    throw new UserError(`${id} takes real numbers as actions: the algorithms here choose one of n actions`);
  }
  return actionSpace.names ?? Array.from({ length: actionSpace.n }, (_, i) => `action ${i}`);
}
