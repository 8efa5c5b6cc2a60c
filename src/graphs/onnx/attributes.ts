/** The attributes of a node, read with the type that the operator expects. */
import { quoted } from "../../io/index.ts";
import { type AttributeProto, type TensorProto, AttributeProto_AttributeType as Type } from "./onnx-pb.generated.ts";

export class Attributes {
  readonly #named: ReadonlyMap<string, AttributeProto>;
  readonly #fail: (what: string) => never;

  /** @param fail throws an error that names the node */
  constructor(protos: readonly AttributeProto[], fail: (what: string) => never) {
    const named = new Map<string, AttributeProto>();
    for (const proto of protos) {
      if (named.has(proto.name)) fail(`has two attributes ${quoted(proto.name)}`);
      if (proto.refAttrName !== "")
        fail(`takes its attribute ${quoted(proto.name)} from a function, outside of any function`);
      named.set(proto.name, proto);
    }
    this.#named = named;
    this.#fail = fail;
  }

  has(name: string): boolean {
    return this.#named.has(name);
  }

  int(name: string): number | undefined {
    const found = this.#typed(name, Type.INT);
    return found && this.#count(name, found.i);
  }

  ints(name: string): number[] | undefined {
    return this.#typed(name, Type.INTS)?.ints.map((value) => this.#count(name, value));
  }

  float(name: string): number | undefined {
    const found = this.#typed(name, Type.FLOAT);
    return found && this.#finite(name, found.f);
  }

  floats(name: string): number[] | undefined {
    return this.#typed(name, Type.FLOATS)?.floats.map((value) => this.#finite(name, value));
  }

  string(name: string): string | undefined {
    const found = this.#typed(name, Type.STRING);
    return found && Buffer.from(found.s).toString("utf8");
  }

  tensor(name: string): TensorProto | undefined {
    const found = this.#typed(name, Type.TENSOR);
    if (found && !found.t) this.#fail(`has no tensor in its attribute "${name}"`);
    return found?.t;
  }

  #typed(name: string, type: Type): AttributeProto | undefined {
    const found = this.#named.get(name);
    // The first versions of the format had no types.
    if (!found || found.type === type || found.type === Type.UNDEFINED) return found;
    return this.#fail(`has an attribute "${name}" of type ${Type[found.type]} instead of ${Type[type]}`);
  }

  /** Counts beyond 53 bits only ever mean "to the end". */
  #count(name: string, value: bigint): number {
    const count = Number(value);
    if (Number.isSafeInteger(count)) return count;
    if (name === "ends" || name === "starts") return count;
    return this.#fail(`has the impossible value ${value} in its attribute "${name}"`);
  }

  #finite(name: string, value: number): number {
    // A constant may well be infinite.
    return Number.isFinite(value) || name.startsWith("value")
      ? value
      : this.#fail(`has the value ${value} in its attribute "${name}"`);
  }
}
