/**
 * The objects in the arrays of a large JSON file, one at a time: such a file may be too long for a text or too big for
 * memory when it is parsed in one go.
 */
import { open } from "node:fs/promises";
import { reasonOf } from "../../../io/index.ts";
import { UserError } from "../../../torch/index.ts";

const code = (character: string): number => character.charCodeAt(0);
const [quote, backslash, comma, colon] = [code('"'), code("\\"), code(","), code(":")];
const [openObject, closeObject, openArray, closeArray] = [code("{"), code("}"), code("["), code("]")];
const pieceSize = 1 << 20;
/** Longest object that is read. */
const maximumObject = 1 << 26;
/** Bytes of a name that are kept. */
const longestName = 1000;

/**
 * Objects that lie directly in the arrays of a file `{"name": [{…}, {…}], …}`, for the arrays that are asked for.
 * @throws UserError naming the file when it is no such file or ends too early
 */
export async function* jsonArrays(
  path: string,
  wanted: readonly string[],
): AsyncGenerator<{ array: string; value: unknown }> {
  const fail = (what: string): never => {
    throw new UserError(`${path} cannot be read as JSON: ${what}; get it again`);
  };
  const scanner = new Scanner(wanted, fail);
  const file = await open(path, "r");
  try {
    const piece = Buffer.alloc(pieceSize);
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, pieceSize);
      if (bytesRead === 0) break;
      for (const { array, text } of scanner.read(piece.subarray(0, bytesRead)))
        yield { array, value: parsed(text, fail) };
    }
  } finally {
    await file.close();
  }
  scanner.end();
}

function parsed(text: string, fail: (what: string) => never): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return fail(reasonOf(error));
  }
}

/** Follows the nesting byte by byte: structure in UTF-8 JSON is ASCII. */
class Scanner {
  readonly #wanted: ReadonlySet<string>;
  readonly #fail: (what: string) => never;
  #depth = 0;
  #inText = false;
  #escaped = false;
  /** True when the top level has begun. */
  #begun = false;
  /** The last text at the top level, and the name that it was for the value now read. */
  #text: number[] = [];
  #name = "";
  /** Earlier pieces of the object that is being read. */
  #parts: Buffer[] | undefined;
  #length = 0;

  constructor(wanted: readonly string[], fail: (what: string) => never) {
    this.#wanted = new Set(wanted);
    this.#fail = fail;
  }

  *read(piece: Buffer): Generator<{ array: string; text: string }> {
    let start = 0;
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i];
      if (this.#inText) {
        this.#inside(byte as number);
        continue;
      }
      if (byte === quote) {
        this.#inText = true;
        if (this.#depth === 1) this.#text = [];
      } else if (byte === openObject || byte === openArray) {
        this.#open(byte);
        if (this.#depth === 3 && byte === openObject && this.#wanted.has(this.#name)) {
          this.#parts = [];
          this.#length = 0;
          start = i;
        }
      } else if (byte === closeObject || byte === closeArray) {
        this.#depth -= 1;
        if (this.#depth < 0) this.#fail("it closes more than it opens");
        if (this.#depth === 2 && this.#parts) {
          const text = Buffer.concat([...this.#parts, piece.subarray(start, i + 1)]).toString("utf8");
          this.#parts = undefined;
          yield { array: this.#name, text };
        }
      } else if (this.#depth === 1 && byte === colon) this.#name = Buffer.from(this.#text).toString("utf8");
      else if (this.#depth === 1 && byte === comma) this.#name = "";
    }
    if (this.#parts) this.#keep(piece.subarray(start));
  }

  #inside(byte: number): void {
    if (this.#depth === 1 && this.#text.length < longestName) this.#text.push(byte);
    if (this.#escaped) this.#escaped = false;
    else if (byte === backslash) this.#escaped = true;
    else if (byte === quote) {
      this.#inText = false;
      if (this.#depth === 1) this.#text.pop();
    }
  }

  #open(byte: number): void {
    if (this.#depth === 0 && (this.#begun || byte !== openObject)) this.#fail("it is not one object");
    this.#begun = true;
    this.#depth += 1;
  }

  #keep(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > maximumObject) this.#fail("an object in it is too long");
    this.#parts?.push(Buffer.from(part));
  }

  end(): void {
    if (!this.#begun || this.#depth !== 0 || this.#inText) this.#fail("it ends too early");
  }
}
