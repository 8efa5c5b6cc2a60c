/** Reads numbers, text and bytes of a pickle, never beyond its end or the current frame's. */
export const maximumDigits = 400;

/** The pickle goes on beyond the bytes at hand. */
export class PickleEnd extends Error {}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class PickleCursor {
  position: number;
  readonly #bytes: Buffer;
  readonly #fail: (what: string) => never;
  #frameEnd: number | undefined;

  constructor(bytes: Buffer, start: number, fail: (what: string) => never) {
    this.#bytes = bytes;
    this.position = start;
    this.#fail = fail;
  }

  /** The next `length` bytes; they share the pickle's memory. */
  take(length: number): Buffer {
    const end = this.position + length;
    this.#leaveFrame();
    if (this.#frameEnd !== undefined && end > this.#frameEnd)
      return this.#fail("an instruction crosses its frame's end");
    if (end > this.#bytes.length) throw new PickleEnd();
    const part = this.#bytes.subarray(this.position, end);
    this.position = end;
    return part;
  }

  byte(): number {
    return this.take(1).readUInt8();
  }

  /** An unsigned little-endian length of 1, 2, 4 or 8 bytes. */
  length(width: 1 | 2 | 4 | 8): number {
    const bytes = this.take(width);
    if (width < 8) return bytes.readUIntLE(0, width);
    const length = Number(bytes.readBigUInt64LE());
    return Number.isSafeInteger(length) ? length : this.#fail("a length is over 2^53");
  }

  /** Bytes after their length. */
  sized(width: 1 | 2 | 4 | 8): Buffer {
    return this.take(this.length(width));
  }

  /** The text up to the next line end. */
  line(): Buffer {
    const end = this.#bytes.indexOf(0x0a, this.position);
    if (end < 0) throw new PickleEnd();
    return this.take(end + 1 - this.position).subarray(0, -1);
  }

  enterFrame(length: number): void {
    this.#leaveFrame();
    if (this.#frameEnd !== undefined) this.#fail("a frame starts inside another");
    if (this.position + length > this.#bytes.length) throw new PickleEnd();
    this.#frameEnd = this.position + length;
  }

  text(bytes: Uint8Array): string {
    try {
      return utf8.decode(bytes);
    } catch {
      return this.#fail("a text is not UTF-8");
    }
  }

  #leaveFrame(): void {
    if (this.#frameEnd !== undefined && this.position >= this.#frameEnd) this.#frameEnd = undefined;
  }
}

/** Python 2's str: text where it is UTF-8, else one character a byte. */
export function textOrLatin1(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes.toString("latin1");
  }
}

/** An integer of Python from its decimal digits; undefined when they are none. */
export function parseInteger(digits: string): number | bigint | undefined {
  if (digits.length > maximumDigits || !/^[+-]?\d+$/.test(digits)) return undefined;
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value : BigInt(digits.replace(/^\+/, ""));
}

/** An integer of Python from its two's complement, least byte first. */
export function decodeInteger(bytes: Buffer): number | bigint {
  if (bytes.length === 0) return 0;
  if (bytes.length <= 6) return bytes.readIntLE(0, bytes.length);
  const hex = Buffer.from(bytes).reverse().toString("hex");
  const value = BigInt.asIntN(bytes.length * 8, BigInt(`0x${hex}`));
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

const escapes: Record<string, string> = { n: "\n", r: "\r", t: "\t", "\\": "\\", "'": "'", '"': '"', "\n": "" };

/** The content of a string literal of Python 2; undefined when it is none. */
export function parseLiteral(literal: string): string | undefined {
  const quote = literal[0];
  if ((quote !== "'" && quote !== '"') || literal.length < 2 || !literal.endsWith(quote)) return undefined;
  return literal.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[\s\S])/g, (whole, code: string) => {
    if (code.length === 3 && code.startsWith("x")) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 0xff);
    return escapes[code] ?? whole;
  });
}

/** Python's raw-unicode-escape: `\uXXXX` and `\UXXXXXXXX`, all else one character a byte. */
export function parseRawUnicode(bytes: Buffer): string {
  return bytes.toString("latin1").replace(/\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g, (whole, short, long) => {
    const code = Number.parseInt(short ?? long, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
