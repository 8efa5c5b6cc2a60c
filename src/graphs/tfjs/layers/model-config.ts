/** The model configurations of Keras 2: layers, and which tensors each call of a layer takes. */
import { quoted } from "../../../io/index.ts";
import { UserError } from "../../../torch/index.ts";
import { Fields, isInt, isRecord } from "../json.ts";

/** An output of a call: the layer, its call, and which of the call's outputs. */
export interface Reference {
  readonly layer: string;
  readonly call: number;
  readonly output: number;
}

export interface LayerConfig {
  readonly name: string;
  readonly kind: string;
  readonly config: Fields;
  /** Set for a model that serves as a layer. */
  readonly model: ModelConfig | undefined;
  /** Inputs of each call. */
  readonly calls: readonly (readonly Reference[])[];
}

export interface ModelConfig {
  readonly layers: readonly LayerConfig[];
  readonly inputs: readonly Reference[];
  readonly outputs: readonly Reference[];
}

const modelClasses = new Set(["Model", "Functional", "Sequential"]);
const maximumNesting = 16;

/** @throws UserError naming the layer and the field */
export function parseModel(value: unknown, file: string, nesting = 0): ModelConfig {
  const model = new Fields(value, `${file}, the model`);
  const kind = model.string("class_name");
  if (!modelClasses.has(kind))
    model.fail(`its class ${quoted(kind)} is not supported; known are Sequential and Functional`);
  if (nesting > maximumNesting) model.fail(`models nest deeper than ${maximumNesting} levels`);
  const raw = model.raw("config");
  if (kind === "Sequential") {
    const list = Array.isArray(raw) ? (raw as unknown[]) : model.fields("config").list("layers");
    return sequential(list, file, nesting);
  }
  const config = model.fields("config");
  const layers = config.list("layers").map((layer) => parseLayer(layer, file, nesting));
  return named(
    {
      layers,
      inputs: references(config.raw("input_layers"), `${file}, the model's inputs`),
      outputs: references(config.raw("output_layers"), `${file}, the model's outputs`),
    },
    file,
  );
}

function named(model: ModelConfig, file: string): ModelConfig {
  const names = new Set<string>();
  for (const { name } of model.layers) {
    if (names.has(name)) throw new UserError(`${file}: two layers of one model are called ${quoted(name)}`);
    names.add(name);
  }
  return model;
}

/** A chain: each layer takes what the one before it gives. */
function sequential(list: readonly unknown[], file: string, nesting: number): ModelConfig {
  const parsed = list.map((layer) => parseLayer(layer, file, nesting));
  const [first] = parsed;
  if (!first) throw new UserError(`${file}: the model has no layers`);
  const input = "input";
  const own = first.kind === "InputLayer" ? [] : [inputLike(first, unusedName(input, parsed))];
  const layers = [...own, ...parsed].map((layer, i, all) => {
    const before = all[i - 1];
    return before ? { ...layer, calls: [[{ layer: before.name, call: 0, output: 0 }]] } : layer;
  });
  const end = (layer: LayerConfig | undefined): Reference => ({ layer: layer?.name ?? "", call: 0, output: 0 });
  return named({ layers, inputs: [end(layers[0])], outputs: [end(layers.at(-1))] }, file);
}

function unusedName(wish: string, layers: readonly LayerConfig[]): string {
  return layers.some((layer) => layer.name === wish) ? unusedName(`${wish}_`, layers) : wish;
}

/** The input that the first layer of a chain declares by a field of its own. */
function inputLike(first: LayerConfig, name: string): LayerConfig {
  const within = first.model?.layers.find((layer) => layer.kind === "InputLayer");
  return { name, kind: "InputLayer", config: within?.config ?? first.config, model: undefined, calls: [] };
}

function parseLayer(value: unknown, file: string, nesting: number): LayerConfig {
  const layer = new Fields(value, `${file}, a layer`);
  const kind = layer.string("class_name");
  const rawName = layer.raw("name") ?? (isRecord(layer.raw("config")) ? layer.fields("config").raw("name") : undefined);
  if (typeof rawName !== "string" || rawName === "") return layer.fail(`a layer of class ${quoted(kind)} has no name`);
  if (rawName === "__proto__" || rawName === "constructor")
    return layer.fail(`the name ${quoted(rawName)} is reserved`);
  const where = `${file}, layer ${quoted(rawName)}`;
  const model = modelClasses.has(kind) ? parseModel(value, file, nesting + 1) : undefined;
  const rawConfig = layer.raw("config");
  const config = new Fields(Array.isArray(rawConfig) ? {} : rawConfig, where);
  const calls = layer.list("inbound_nodes", []).map((call) => references(call, where));
  return { name: rawName, kind, config, model, calls };
}

/** A list of [layer, call, output], or one of them alone. */
function references(value: unknown, where: string): Reference[] {
  const fail = (): never => {
    throw new UserError(`${where}: ${quoted(value)} is no list of [layer, call, output]`);
  };
  if (isRecord(value)) {
    throw new UserError(
      `${where}: it was saved by Keras 3, which TensorFlow.js does not read: export it with tf_keras`,
    );
  }
  if (!Array.isArray(value)) return fail();
  const list: unknown[] = typeof value[0] === "string" ? [value] : value;
  return list.map((entry) => {
    if (!Array.isArray(entry)) return fail();
    const [layer, call = 0, output = 0] = entry as unknown[];
    const range = { min: 0, max: 2 ** 20 };
    if (typeof layer !== "string" || !isInt(call, range) || !isInt(output, range)) return fail();
    return { layer, call, output };
  });
}
