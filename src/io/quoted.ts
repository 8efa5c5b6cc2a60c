/** Text from a file in messages: it may hold anything. */

const longestName = 120;
const longestReason = 300;

/** A name in quotes, short and printable. */
export function quoted(name: string): string {
  return printable(JSON.stringify(shortened(name, longestName)));
}

/** Another library's words about a file, short and printable, in one line. */
export function reasonOf(error: unknown, longest = longestReason): string {
  const message = error instanceof Error ? error.message : String(error);
  return printable(shortened(message.trim().replaceAll(/\s+/g, " "), longest));
}

function shortened(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** Without characters that a terminal acts on or does not show. */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}
