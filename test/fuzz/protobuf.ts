/** Changes to a message of Protocol Buffers that leave its lengths right. */
import { interesting, mutateBytes } from "./bytes.ts";
import type { Random } from "./random.ts";

interface Field {
  number: number;
  wire: number;
  value: bigint | Buffer | Field[];
}

const maximumDepth = 8;
const mask = 2n ** 64n - 1n;

function readVarint(bytes: Buffer, at: number): { value: bigint; end: number } | undefined {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    value |= BigInt(byte & 127) << BigInt(7 * i);
    if (byte < 128) return { value: value & mask, end: at + i + 1 };
  }
  return undefined;
}

/** The fields of what may be a message; undefined for what cannot be one. */
function parse(bytes: Buffer, depth: number): Field[] | undefined {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    if (!tag || tag.value < 8n || tag.value > 0xffffn) return undefined;
    const [number, wire] = [Number(tag.value >> 3n), Number(tag.value & 7n)];
    const field = readField(bytes, tag.end, wire, depth);
    if (!field) return undefined;
    fields.push({ number, wire, value: field.value });
    at = field.end;
  }
  return fields;
}

function readField(
  bytes: Buffer,
  at: number,
  wire: number,
  depth: number,
): { value: Field["value"]; end: number } | undefined {
  if (wire === 0) return readVarint(bytes, at);
  const length = wire === 2 ? readVarint(bytes, at) : { value: wire === 1 ? 8n : 4n, end: at };
  if (!length || (wire !== 1 && wire !== 2 && wire !== 5)) return undefined;
  const end = length.end + Number(length.value);
  if (end > bytes.length) return undefined;
  const content = bytes.subarray(length.end, end);
  const inner = wire === 2 && content.length > 1 && depth < maximumDepth ? parse(content, depth + 1) : undefined;
  return { value: inner ?? content, end };
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  for (let left = value & mask; ; left >>= 7n) {
    bytes.push(Number(left & 127n) | (left > 127n ? 128 : 0));
    if (left <= 127n) return Buffer.from(bytes);
  }
}

function encode(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(({ number, wire, value }) => {
      const tag = varint(BigInt(number * 8 + wire));
      if (typeof value === "bigint") return [tag, varint(value)];
      const content = Buffer.isBuffer(value) ? value : encode(value);
      return wire === 2 ? [tag, varint(BigInt(content.length)), content] : [tag, content];
    }),
  );
}

/** Every list of fields, the inner ones too. */
function messagesIn(fields: Field[]): Field[][] {
  const inner = fields.flatMap(({ value }) => (Array.isArray(value) ? messagesIn(value) : []));
  return fields.length > 0 ? [fields, ...inner] : inner;
}

function changeField(random: Random, field: Field): void {
  const { value } = field;
  if (typeof value === "bigint") {
    field.value = random.chance(0.3) ? value + random.pick([-1n, 1n]) : random.pick(interesting);
  } else if (Buffer.isBuffer(value)) {
    field.value = random.chance(0.2) ? Buffer.alloc(0) : mutateBytes(random, value, value);
  } else field.number = 1 + random.int(20);
}

/** The message with fields changed, moved, doubled, left out or exchanged; bytes that are no message change as such. */
export function mutateProtobuf(random: Random, bytes: Buffer): Buffer {
  const root = parse(bytes, 0);
  if (!root) return mutateBytes(random, bytes, bytes);
  for (let i = random.int(3); i >= 0; i--) {
    const messages = messagesIn(root);
    if (messages.length === 0) break;
    const message = random.pick(messages);
    const at = random.int(message.length);
    const field = message[at] as Field;
    random.pick<() => void>([
      () => changeField(random, field),
      () => changeField(random, field),
      () => void message.splice(at, 1),
      () => void message.splice(random.int(message.length), 0, structuredCopy(field)),
      () => void random.pick(messages).push(structuredCopy(field)),
      () => void message.reverse(),
      () => {
        field.number = 1 + random.int(16);
      },
    ])();
  }
  return encode(root);
}

function structuredCopy(field: Field): Field {
  const { value } = field;
  return { ...field, value: Array.isArray(value) ? value.map(structuredCopy) : value };
}
