/** Names that become part of a path: members, hubs, runs. */
import { z } from "zod";

const longest = 100;

/** Names that a file system or JavaScript treats in its own way. */
const reserved = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)|^hub\.json$/i;

/** Letters, digits, dot, dash and underscore; begins with a letter or a digit and does not end with a dot. */
export const safeName = z
  .string()
  .min(1)
  .max(longest)
  .regex(/^[a-z0-9][a-z0-9._-]*$/i, "letters, digits, dot, dash and underscore only, beginning with a letter or digit")
  .refine((name) => !name.endsWith("."), "must not end with a dot")
  .refine((name) => !reserved.test(name), "is a name that the system reserves");

/** True when a text can stand as a part of a path as it is. */
export function isSafeName(text: string): boolean {
  return safeName.safeParse(text).success;
}

/** The safe name that is most like a text: accents go, anything else becomes a dash; "unnamed" when nothing is left. */
export function proposeName(text: string): string {
  const plain = text
    .normalize("NFKD")
    .replaceAll(/\p{M}/gu, "")
    .replaceAll(/[^a-z0-9._-]+/gi, "-")
    .replaceAll(/-*([._-])-*/g, "$1");
  const name = trimmed(plain);
  if (name === "") return "unnamed";
  return isSafeName(name) ? name : trimmed(`x-${name}`);
}

/** Without punctuation at either end, and short enough. */
function trimmed(name: string): string {
  return name
    .replace(/^[._-]+/, "")
    .slice(0, longest)
    .replace(/[._-]+$/, "");
}
