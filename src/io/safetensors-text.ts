/** Faults of a safetensors header that JSON.parse lets pass: doubled keys, depth, numbers that are no sizes. */
import { quoted } from "./quoted.ts";

/** The format needs three. */
const maximumDepth = 8;
/** Far above any model, and low enough for the parsed header to fit in memory. */
const maximumValues = 1_000_000;

const quote = 0x22;
const backslash = 0x5c;

/** Looks through the header's text before it is parsed. */
export function checkHeaderText(text: string, fail: (what: string) => never): void {
  const open: (Set<string> | undefined)[] = [];
  let values = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === quote) {
      const end = endOfString(text, i);
      if (isKey(text, end)) addKey(text.slice(i, end), open.at(-1), fail);
      i = end - 1;
    } else if (character === 0x7b || character === 0x5b) {
      open.push(character === 0x7b ? new Set() : undefined);
      if (open.length > maximumDepth) fail("its header is nested too deep");
    } else if (character === 0x7d || character === 0x5d) open.pop();
    else if (character === 0x2c) {
      values += 1;
      if (values > maximumValues) fail("its header has too many values");
    } else if (isNumberStart(character)) i = endOfNumber(text, i, fail) - 1;
  }
}

/** The position after the closing quote, or the text's end. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === quote) return i + 1;
    if (character === backslash) i += 1;
  }
  return text.length;
}

function isKey(text: string, after: number): boolean {
  for (let i = after; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === 0x3a) return true;
    if (character !== 0x20 && character !== 0x0a && character !== 0x0d && character !== 0x09) return false;
  }
  return false;
}

function addKey(literal: string, keys: Set<string> | undefined, fail: (what: string) => never): void {
  const key = literal.includes("\\") ? unescaped(literal, fail) : literal;
  if (keys?.has(key)) fail(`its header has the key ${quoted(key.slice(1, -1))} twice`);
  keys?.add(key);
}

/** A literal without unnecessary escapes, so that equal keys look equal. */
function unescaped(literal: string, fail: (what: string) => never): string {
  try {
    return JSON.stringify(JSON.parse(literal));
  } catch {
    return fail("its header is not JSON");
  }
}

function isNumberStart(character: number): boolean {
  return character === 0x2d || (character >= 0x30 && character <= 0x39);
}

function endOfNumber(text: string, start: number, fail: (what: string) => never): number {
  let end = start + 1;
  while (/[-+.eE0-9]/.test(text[end] ?? "")) end += 1;
  const literal = text.slice(start, end);
  if (!/^\d{1,16}$/.test(literal)) fail(`its header has the number ${literal.slice(0, 40)}, which is no size`);
  return end;
}
