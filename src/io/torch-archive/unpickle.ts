/**
 * A restricted unpickler (Python's pickletools.py describes the instructions; protocols 0 to 5). It runs nothing: globals
 * are looked up in a table of harmless ones. Objects of other classes are read past, and dangerous names end the reading.
 */

import { quoted } from "../quoted.ts";
import {
  decodeInteger,
  maximumDigits,
  PickleCursor,
  PickleEnd,
  parseInteger,
  parseLiteral,
  parseRawUnicode,
  textOrLatin1,
} from "./pickle-cursor.ts";
import { Attributes, type Context, Global, isBuildable, kindOf, Opaque, OpaqueGlobal, type Value } from "./values.ts";

export interface UnpickleOptions {
  /** The meaning of a global; it ends the reading for a name it does not know. */
  find(module: string, name: string, context: Context): Value;
  /** The meaning of a persistent id, with all that is wrong about it as a failure. */
  persistent(id: Value, context: Context): Value;
  /** Ends the reading. */
  fail(what: string): never;
}

/** Far above any checkpoint, and low enough to end within seconds and some hundred megabytes. */
const maximumInstructions = 4_000_000;
const maximumContainers = 600_000;
const maximumCopied = 1 << 28;

const opcode = (text: string): number => text.charCodeAt(0);

/**
 * Reads one pickle from `bytes` at `start`.
 * @throws PickleEnd when it goes on beyond the bytes
 */
export function unpickle(bytes: Buffer, start: number, options: UnpickleOptions): { value: Value; end: number } {
  const machine = new Machine(bytes, start, options);
  const value = machine.run();
  return { value, end: machine.position };
}

class Machine {
  readonly #options: UnpickleOptions;
  readonly #cursor: PickleCursor;
  readonly #context: Context;
  readonly #stack: Value[] = [];
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, Value>();
  #instructions = 0;
  #containers = 0;
  #copied = 0;

  constructor(bytes: Buffer, start: number, options: UnpickleOptions) {
    const fail = (what: string): never => options.fail(`${what} (byte ${this.#cursor.position} of its pickle)`);
    this.#options = options;
    this.#cursor = new PickleCursor(bytes, start, fail);
    this.#context = {
      fail,
      spend: (amount) => {
        this.#copied += amount;
        if (this.#copied > maximumCopied) fail("it asks for endless copies");
      },
    };
  }

  get position(): number {
    return this.#cursor.position;
  }

  run(): Value {
    const stop = opcode(".");
    for (;;) {
      const code = this.#cursor.byte();
      if (code === stop) break;
      this.#instructions += 1;
      if (this.#instructions > maximumInstructions) this.#fail("it has too many instructions for a weights file");
      const instruction = instructions.get(code);
      if (!instruction) this.#fail(`there is no instruction 0x${code.toString(16).padStart(2, "0")}`);
      else instruction(this);
    }
    return this.pop();
  }

  #fail(what: string): never {
    return this.#context.fail(what);
  }

  get cursor(): PickleCursor {
    return this.#cursor;
  }

  fail(what: string): never {
    return this.#fail(what);
  }

  // ---- the stack

  push(value: Value): void {
    this.#stack.push(value);
  }

  pushContainer(value: Value): void {
    this.#containers += 1;
    if (this.#containers > maximumContainers) this.#fail("it has too many containers for a weights file");
    this.#stack.push(value);
  }

  pop(): Value {
    const fence = this.#marks.at(-1) ?? 0;
    if (this.#stack.length <= fence) return this.#fail("it takes a value from an empty stack");
    return this.#stack.pop() as Value;
  }

  top(): Value {
    const fence = this.#marks.at(-1) ?? 0;
    if (this.#stack.length <= fence) return this.#fail("it looks at an empty stack");
    return this.#stack.at(-1) as Value;
  }

  /** POP, which also takes a mark off. */
  drop(): void {
    if (this.#marks.length > 0 && this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
    else this.pop();
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  popToMark(): Value[] {
    const mark = this.#marks.pop();
    return mark === undefined ? this.#fail("there is no mark on its stack") : this.#stack.splice(mark);
  }

  // ---- the memo

  remember(index: number): void {
    this.#memo.set(index, this.top());
  }

  rememberNext(): void {
    this.remember(this.#memo.size);
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) this.#fail(`it has stored nothing under ${index}`);
    this.#stack.push(value);
  }

  // ---- containers

  append(items: readonly Value[]): void {
    const list = this.top();
    if (list instanceof Opaque) return;
    if (!Array.isArray(list)) this.#fail(`it appends to ${kindOf(list)}`);
    for (const item of items) list.push(item);
  }

  setItems(items: readonly Value[]): void {
    const map = this.top();
    if (map instanceof Opaque) return;
    if (!(map instanceof Map)) this.#fail(`it sets items of ${kindOf(map)}`);
    this.#fill(map, items);
  }

  dict(items: readonly Value[]): void {
    const map = new Map<Value, Value>();
    this.#fill(map, items);
    this.pushContainer(map);
  }

  #fill(map: Map<Value, Value>, items: readonly Value[]): void {
    if (items.length % 2 !== 0) this.#fail("a dict has a key without a value");
    for (let i = 0; i < items.length; i += 2) map.set(items[i] as Value, items[i + 1] as Value);
  }

  addItems(items: readonly Value[]): void {
    const set = this.top();
    if (set instanceof Opaque) return;
    if (!(set instanceof Set)) this.#fail(`it adds items to ${kindOf(set)}`);
    for (const item of items) set.add(item);
  }

  // ---- objects

  global(module: string, name: string): void {
    this.push(this.#options.find(module, name, this.#context));
  }

  globalFromStack(): void {
    const name = this.pop();
    const module = this.pop();
    if (typeof name !== "string" || typeof module !== "string") this.#fail("a global's name is not a text");
    this.global(module, name);
  }

  reduce(): void {
    const args = this.pop();
    this.instantiate(this.pop(), args);
  }

  /** Result of calling a global, by its own builder. */
  instantiate(callable: Value, args: Value): void {
    if (!(callable instanceof Global)) this.#fail(`it calls ${kindOf(callable)}`);
    if (!Array.isArray(args)) this.#fail(`it calls ${callable.name} with ${kindOf(args)}`);
    if (!callable.call) this.#fail(`it calls ${callable.name}, which is only a name here`);
    this.pushContainer(callable.call(args, this.#context));
  }

  build(): void {
    const state = this.pop();
    const target = this.top();
    if (isBuildable(target)) target.build(state, this.#context);
    else if (target instanceof Attributes && state instanceof Map) {
      this.#context.spend(state.size);
      for (const [name, value] of state) target.set(name, value);
    }
    // Attributes of a dict, such as a state dict's _metadata, say nothing about its content.
    else if (!(target instanceof Map)) this.#fail(`it sets the state of ${kindOf(target)}`);
  }

  persistent(id: Value): void {
    this.push(this.#options.persistent(id, this.#context));
  }
}

type Instruction = (machine: Machine) => void;

const instructions = new Map<number, Instruction>();

function define(code: string | number, instruction: Instruction): void {
  instructions.set(typeof code === "string" ? opcode(code) : code, instruction);
}

function number(machine: Machine, digits: string): number | bigint {
  return parseInteger(digits) ?? machine.fail(`${quoted(digits)} is not a number that it can hold`);
}

function long(machine: Machine, bytes: Buffer): number | bigint {
  return bytes.length > maximumDigits ? machine.fail("a number has too many digits") : decodeInteger(bytes);
}

// Numbers and truth.
define("N", (m) => m.push(null));
define(0x88, (m) => m.push(true));
define(0x89, (m) => m.push(false));
define("I", (m) => {
  const digits = m.cursor.line().toString("latin1");
  m.push(digits === "00" ? false : digits === "01" ? true : number(m, digits));
});
define("L", (m) => m.push(number(m, m.cursor.line().toString("latin1").replace(/L$/, ""))));
define("F", (m) => {
  const text = m.cursor.line().toString("latin1");
  const special = { nan: Number.NaN, inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY }[text];
  const valid = text.length <= maximumDigits && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
  m.push(special ?? (valid ? Number(text) : m.fail(`${quoted(text)} is not a number`)));
});
define("J", (m) => m.push(m.cursor.take(4).readInt32LE()));
define("K", (m) => m.push(m.cursor.byte()));
define("M", (m) => m.push(m.cursor.take(2).readUInt16LE()));
define("G", (m) => m.push(m.cursor.take(8).readDoubleBE()));
define(0x8a, (m) => m.push(long(m, m.cursor.sized(1))));
define(0x8b, (m) => m.push(long(m, m.cursor.sized(4))));

// Text and bytes.
define("S", (m) => {
  const literal = m.cursor.line().toString("latin1");
  m.push(parseLiteral(literal) ?? m.fail("a text has no quotes"));
});
define("T", (m) => m.push(textOrLatin1(m.cursor.sized(4))));
define("U", (m) => m.push(textOrLatin1(m.cursor.sized(1))));
define("V", (m) => m.push(parseRawUnicode(m.cursor.line())));
define("X", (m) => m.push(m.cursor.text(m.cursor.sized(4))));
define(0x8c, (m) => m.push(m.cursor.text(m.cursor.sized(1))));
define(0x8d, (m) => m.push(m.cursor.text(m.cursor.sized(8))));
// Copies, so that a few bytes do not hold on to the whole pickle.
define("B", (m) => m.push(Uint8Array.from(m.cursor.sized(4))));
define("C", (m) => m.push(Uint8Array.from(m.cursor.sized(1))));
define(0x8e, (m) => m.push(Uint8Array.from(m.cursor.sized(8))));
define(0x96, (m) => m.push(Uint8Array.from(m.cursor.sized(8))));

// Containers.
define("(", (m) => m.mark());
define("1", (m) => void m.popToMark());
define("0", (m) => m.drop());
define("2", (m) => m.push(m.top()));
define(")", (m) => m.pushContainer([]));
define("]", (m) => m.pushContainer([]));
define("}", (m) => m.pushContainer(new Map()));
define(0x8f, (m) => m.pushContainer(new Set()));
define("t", (m) => m.pushContainer(m.popToMark()));
define("l", (m) => m.pushContainer(m.popToMark()));
define("d", (m) => m.dict(m.popToMark()));
define(0x91, (m) => m.pushContainer(new Set(m.popToMark())));
for (const count of [1, 2, 3]) {
  define(0x84 + count, (m) => {
    const items = Array.from({ length: count }, () => m.pop());
    m.pushContainer(items.reverse());
  });
}
define("a", (m) => {
  const item = m.pop();
  m.append([item]);
});
define("e", (m) => m.append(m.popToMark()));
define("s", (m) => {
  const value = m.pop();
  const key = m.pop();
  m.setItems([key, value]);
});
define("u", (m) => m.setItems(m.popToMark()));
define(0x90, (m) => m.addItems(m.popToMark()));

// The memo.
define("g", (m) => m.recall(Number(number(m, m.cursor.line().toString("latin1")))));
define("h", (m) => m.recall(m.cursor.length(1)));
define("j", (m) => m.recall(m.cursor.length(4)));
define("p", (m) => m.remember(Number(number(m, m.cursor.line().toString("latin1")))));
define("q", (m) => m.remember(m.cursor.length(1)));
define("r", (m) => m.remember(m.cursor.length(4)));
define(0x94, (m) => m.rememberNext());

// Objects.
define("c", (m) => {
  const module = m.cursor.text(m.cursor.line());
  m.global(module, m.cursor.text(m.cursor.line()));
});
define(0x93, (m) => m.globalFromStack());
define("R", (m) => m.reduce());
define(0x81, (m) => m.reduce());
define(0x92, (m) => {
  const named = m.pop();
  const args = m.pop();
  const made = m.pop();
  const isNamed = !(named instanceof Map) || named.size > 0;
  if (isNamed && !(made instanceof OpaqueGlobal)) m.fail("it makes an object with named arguments");
  m.instantiate(made, args);
});
define("b", (m) => m.build());
define("i", (m) => {
  const module = m.cursor.text(m.cursor.line());
  const name = m.cursor.text(m.cursor.line());
  const args = m.popToMark();
  m.global(module, name);
  m.instantiate(m.pop(), args);
});
define("o", (m) => {
  const [callable = null, ...args] = m.popToMark();
  m.instantiate(callable, args);
});
define("P", (m) => m.persistent(m.cursor.text(m.cursor.line())));
define("Q", (m) => m.persistent(m.pop()));
for (const code of [0x82, 0x83, 0x84]) {
  define(code, (m) => m.fail("it uses the extension registry, which no weights file needs"));
}
for (const code of [0x97, 0x98]) define(code, (m) => m.fail("its buffers lie outside the file"));

// The frame of the pickle itself.
define(0x80, (m) => {
  const protocol = m.cursor.byte();
  if (protocol > 5) m.fail(`it has the unknown protocol ${protocol}`);
});
define(0x95, (m) => m.cursor.enterFrame(m.cursor.length(8)));

export { PickleEnd };
