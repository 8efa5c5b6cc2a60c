/** From a Keras topology to steps: nested models are unfolded, shared layers keep one set of weights. */
import { listed, quoted, reasonOf, shown } from "../../../io/index.ts";
import { type Tensor, UserError } from "../../../torch/index.ts";
import { imagesOf, type Layout } from "../../graph-model.ts";
import { topological } from "../../topological.ts";
import { Fields, isInt } from "../json.ts";
import type { Parameters, WeightLayout } from "../parameters.ts";
import { brokenStep, maximumSteps, onTensors, type Parsed, type TfjsStep } from "../step.ts";
import { builders, productLayers } from "./builders.ts";
import type { Expected, Layer } from "./layer.ts";
import { type LayerConfig, type ModelConfig, parseModel, type Reference } from "./model-config.ts";

/**
 * The steps of a layers model ("modelTopology" of its model.json). Layers that cannot run become steps that say so.
 * @throws UserError naming the layer that is wrong
 */
export function layersNetwork(topology: unknown, file: string, parameters: Parameters): Parsed {
  const whole = new Fields(topology, `${file}, "modelTopology"`);
  const model = parseModel(whole.has("model_config") ? whole.raw("model_config") : topology, file);
  const assembly = new Assembly(file, parameters);
  const [input, ...more] = model.inputs;
  if (!input || more.length > 0) {
    throw new UserError(
      `${file}: the model has ${model.inputs.length} inputs, but only models of one image are supported`,
    );
  }
  const outputs = assembly.unfold(model, [], "", [input.layer]);
  assembly.checkAllUsed();
  const layout = imageLayout(model);
  const config = model.layers.find((layer) => layer.name === input.layer)?.config;
  const images = imagesOf(input.layer, inputShape(config, file), { said: layout }, file);
  return { file, steps: assembly.steps, images, channel: layout === "NCHW" ? 1 : 3, outputs };
}

/** Layout of most layers, of which only a few name it. */
function imageLayout(model: ModelConfig): Layout {
  const formats = (part: ModelConfig): unknown[] =>
    part.layers.flatMap((layer) => (layer.model ? formats(layer.model) : [layer.config.raw("data_format")]));
  const said = formats(model);
  return said.includes("channels_first") && !said.includes("channels_last") ? "NCHW" : "NHWC";
}

function inputShape(config: Fields | undefined, file: string): number[] {
  const raw = config?.raw("batch_input_shape") ?? config?.raw("batch_shape");
  if (!Array.isArray(raw)) throw new UserError(`${file}: the model does not say the shape of its input`);
  return raw.map((size: unknown) => {
    if (size === null || size === -1) return -1;
    return isInt(size, { min: 1 }) ? size : (config?.fail(`the input's shape ${quoted(raw)} is not valid`) ?? -1);
  });
}

/** A layer without its place in the network. */
type Built = Omit<TfjsStep, "label" | "outputs" | "inputs">;

class Assembly {
  readonly steps: TfjsStep[] = [];
  readonly #file: string;
  readonly #parameters: Parameters;
  /** By the path of a layer through nested models. */
  readonly #built = new Map<string, Built>();
  readonly #owners = new Map<string, string>();
  #unfolded = 0;

  constructor(file: string, parameters: Parameters) {
    this.#file = file;
    this.#parameters = parameters;
  }

  /**
   * Adds the steps of a model; its tensors get names that start with `prefix`. `path` is the way through models to it,
   * the same for each of its calls.
   */
  unfold(model: ModelConfig, path: readonly string[], prefix: string, inputs: readonly string[]): string[] {
    this.#unfolded += 1;
    if (this.#unfolded > maximumSteps) this.#fail("its models call each other too many times");
    const layers = new Map(model.layers.map((layer) => [layer.name, layer]));
    // The tensors that each call of each layer gives.
    const given = new Map<string, readonly string[]>();
    for (const [i, reference] of model.inputs.entries()) {
      given.set(keyOf(reference.layer, 0), [inputs[i] ?? this.#fail(`a model takes ${model.inputs.length} inputs`)]);
    }
    for (const { layer, call } of this.#calls(model, layers)) {
      const sources = (layer.calls[call] ?? []).map(
        (reference) => lookUp(given, reference) ?? this.#missing(layer, reference),
      );
      given.set(keyOf(layer.name, call), this.#call(layer, call, path, prefix, sources));
    }
    return model.outputs.map((reference) => lookUp(given, reference) ?? this.#missing(undefined, reference));
  }

  /** All calls of all layers, each after those that it reads. */
  #calls(model: ModelConfig, layers: ReadonlyMap<string, LayerConfig>): { layer: LayerConfig; call: number }[] {
    const inputs = new Set(model.inputs.map((reference) => reference.layer));
    const items = new Map<string, { layer: LayerConfig; call: number }>();
    for (const layer of layers.values()) {
      if (layer.kind === "InputLayer" || inputs.has(layer.name)) continue;
      for (const call of layer.calls.keys()) items.set(keyOf(layer.name, call), { layer, call });
    }
    if (items.size > maximumSteps) this.#fail(`the model calls more than ${maximumSteps} layers`);
    const dependencies = ({ layer, call }: { layer: LayerConfig; call: number }) =>
      (layer.calls[call] ?? []).flatMap((reference) => {
        if (!layers.has(reference.layer)) return this.#missing(layer, reference);
        return items.get(keyOf(reference.layer, reference.call)) ?? [];
      });
    const { ordered, stuck } = topological([...items.values()], dependencies);
    if (stuck.length === 0) return ordered;
    const names = stuck.slice(0, 4).map(({ layer }) => quoted(layer.name));
    return this.#fail(`${names.join(", ")} depend on each other in a circle`);
  }

  #call(layer: LayerConfig, call: number, path: readonly string[], prefix: string, inputs: string[]): string[] {
    const name = `${prefix}${layer.name}${call > 0 ? `:${call}` : ""}`;
    if (layer.model) {
      if (inputs.length !== layer.model.inputs.length) {
        this.#fail(
          `the model ${quoted(layer.name)} takes ${layer.model.inputs.length} inputs, but gets ${inputs.length}`,
        );
      }
      return this.unfold(layer.model, [...path, layer.name], `${name}/`, inputs);
    }
    if (inputs.length === 0) this.#fail(`the layer ${quoted(layer.name)} is called without inputs`);
    if (this.steps.length >= maximumSteps) this.#fail(`the model has more than ${maximumSteps} layers`);
    const label = `${shown(layer.kind)} ${quoted(name)}`;
    this.steps.push({ ...this.#build(layer, path), label, outputs: [name], inputs });
    return [name];
  }

  #build(layer: LayerConfig, path: readonly string[]): Built {
    const key = JSON.stringify([...path, layer.name]);
    const known = this.#built.get(key);
    if (known) return known;
    const made = this.#make(layer, path);
    this.#built.set(key, made);
    return made;
  }

  #make(layer: LayerConfig, path: readonly string[]): Built {
    const { kind, config } = layer;
    const builder = builders.get(kind);
    if (!builder) return brokenStep({ kind, outputs: [], inputs: [] }, "unsupported");
    const weights = new Set<string>();
    try {
      const { access, norm } = this.#access(layer, path, weights);
      const run = builder(access);
      const activation = config.raw("activation") ?? "linear";
      const isActivated = !["linear", "softmax", "sigmoid"].includes(String(activation));
      const named = kind === "Activation" ? `Activation:${shown(String(activation))}` : kind;
      const layered = { isLayer: productLayers.has(kind), isActivated };
      return { kind: named, ...onTensors(run), weights: [...weights], norm: norm(), ...layered };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return brokenStep({ kind, outputs: [], inputs: [] }, error);
    }
  }

  #access(
    layer: LayerConfig,
    path: readonly string[],
    weights: Set<string>,
  ): { access: Layer; norm: () => string | undefined } {
    const find = (short: string): string => {
      const name = this.#claim(layer, path, short);
      weights.add(name);
      return name;
    };
    let normName: string | undefined;
    const access: Layer = {
      name: layer.name,
      config: layer.config,
      weight: (short: string, shape: Expected | undefined, layout: WeightLayout = "as stored"): Tensor => {
        const name = find(short);
        this.#checkShape(layer, name, shape);
        return this.#parameters.use(name, layout);
      },
      norm: ({ center, scale, epsilon, momentum }) => {
        normName = [...path, layer.name].join("/");
        return this.#parameters.norm(normName, {
          gamma: scale ? find("gamma") : undefined,
          beta: center ? find("beta") : undefined,
          mean: find("moving_mean"),
          variance: find("moving_variance"),
          epsilon,
          momentum,
        });
      },
    };
    return { access, norm: () => normName };
  }

  /** The weight's full name: layers of nested models may carry the models' names, and cells a name of their own. */
  #claim(layer: LayerConfig, path: readonly string[], short: string): string {
    const owner = JSON.stringify([...path, layer.name]);
    const exact = path.map((_, i) => [...path.slice(i), layer.name, short].join("/"));
    const candidates = [...exact, `${layer.name}/${short}`].filter((name) => this.#parameters.has(name));
    const [name] = candidates.length > 0 ? candidates : this.#similar(`${layer.name}/`, `/${short}`);
    if (name === undefined) {
      this.#fail(`the layer ${quoted(layer.name)} has no weight ${quoted(`${layer.name}/${short}`)}`);
    }
    const before = this.#owners.get(name);
    if (before !== undefined && before !== owner) {
      this.#fail(`the weight ${quoted(name)} belongs to two layers, ${before} and ${owner}`);
    }
    this.#owners.set(name, owner);
    return name;
  }

  /** Names that have the layer's name and the weight's, with one more name before or between. */
  #similar(layer: string, short: string): string[] {
    const found = [...this.#parameters.names()].filter((name) => {
      return name.endsWith(short) && (name.startsWith(layer) || name.endsWith(`/${layer.slice(0, -1)}${short}`));
    });
    return found.length === 1 ? found : [];
  }

  #checkShape(layer: LayerConfig, name: string, expected: Expected | undefined): void {
    const stored = this.#parameters.stored(name);
    if (stored.dtype !== "float32") this.#fail(`the weight ${quoted(name)} is ${stored}, needs float32`);
    if (!expected) return;
    const fits =
      stored.dim() === expected.length && expected.every((size, i) => size === undefined || size === stored.size(i));
    if (fits) return;
    const wanted = expected.map((size) => size ?? "any").join(", ");
    this.#fail(`the weight ${quoted(name)} of the ${layer.kind} is [${stored.shape.join(", ")}], needs [${wanted}]`);
  }

  /** @throws UserError for weights that no layer uses: the topology belongs to another file then */
  checkAllUsed(): void {
    // A layer that cannot be made has not said which weights are its own.
    if (this.steps.some(({ problem }) => problem)) return;
    const unused = [...this.#parameters.names()].filter((name) => !this.#owners.has(name));
    if (unused.length > 0) this.#fail(`no layer uses the weights ${listed(unused, 5)}`);
  }

  #missing(layer: LayerConfig | undefined, reference: Reference): never {
    const who = layer ? `the layer ${quoted(layer.name)}` : "the model's output";
    return this.#fail(
      `${who} takes output ${reference.output} of call ${reference.call} of ${quoted(reference.layer)}, which does not exist`,
    );
  }

  #fail(message: string): never {
    throw new UserError(`${this.#file}: ${reasonOf(message)}`);
  }
}

function keyOf(layer: string, call: number): string {
  return JSON.stringify([layer, call]);
}

function lookUp(given: ReadonlyMap<string, readonly string[]>, { layer, call, output }: Reference): string | undefined {
  return given.get(keyOf(layer, call))?.[output];
}
