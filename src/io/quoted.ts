/** Text from files, folders and networks in messages: it may hold anything. */

const longestName = 200;
const longestListed = 80;
const longestReason = 300;

/** A name short and printable, in one line: everything foreign in a message, a table or a question goes through here. */
export function shown(name: string): string {
  return printable(shortened(name, longestName));
}

/** The same in quotes, where a name could be mistaken for our own words; any other value as JSON. */
export function quoted(value: unknown): string {
  if (typeof value === "string") return printable(JSON.stringify(shortened(value, longestName)));
  return printable(shortened(JSON.stringify(value) ?? String(value), longestName));
}

/** The first of several words, each made short and printable by `show`. */
export function listed(values: readonly string[], limit = 15, show: (value: string) => string = quoted): string {
  const first = values.slice(0, limit).map((value) => show(shortened(value, longestListed)));
  return `${first.join(", ")}${values.length > limit ? ` and ${values.length - limit} more` : ""}`;
}

/** A word as a shell takes it, for commands that are pasted. */
export function shellQuoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Another library's words about a file, short and printable, in one line. */
export function reasonOf(error: unknown, longest = longestReason): string {
  const message = error instanceof Error ? error.message : String(error);
  return printable(shortened(message.trim().replaceAll(/\s+/g, " "), longest));
}

/** A number with its noun: "1 image", "2 images". */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

/** 12,300,000 bytes to "12.3 MB". */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function shortened(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/**
 * Without characters that a terminal acts on or does not show: controls, directions of writing, halves of characters. The
 * joiners of Persian words and of emoji stay.
 */
export function printable(text: string): string {
  return text.replaceAll(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, escaped);
}

/** The same with the ends of lines kept, for whole texts of ours. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}
