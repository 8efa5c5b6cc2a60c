/** JSON files that are checked before they are believed: regular, of bounded size, and of a known shape. */
import type { z } from "zod";
import { UserError } from "../torch/index.ts";
import { reasonOf } from "./quoted.ts";
import { readRegular } from "./regular-file.ts";

const defaultMaximum = 16e6;
/** Issues that a message names, and characters of each: they may quote the file. */
const mostIssues = 8;
const longestIssue = 160;

export interface JsonFileOptions {
  /** Size in bytes above which the file is refused unread (default 16 MB). */
  maximumBytes?: number;
}

/**
 * The content of a JSON file, as the schema gives it.
 * @param what the kind of file in messages, such as "a hub's manifest"
 * @throws UserError naming the file when it is missing, no regular file, too large, not JSON, or not of that shape
 */
export function readJsonFile<S extends z.ZodType>(
  path: string,
  schema: S,
  what: string,
  options: JsonFileOptions = {},
): z.output<S> {
  const text = readRegular(path, { maximumBytes: options.maximumBytes ?? defaultMaximum, what });
  return parseJson(text.toString("utf8"), schema, path, what);
}

/**
 * JSON in a text, as the schema gives it.
 * @param where the file, and the line of it, that the text comes from
 * @throws UserError naming `where` when the text is not JSON, or not of that shape
 */
export function parseJson<S extends z.ZodType>(text: string, schema: S, where: string, what: string): z.output<S> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${where} is not JSON, so it is not ${what}: ${reasonOf(error)}`, { cause: error });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new UserError(`${where} is not ${what}: ${issuesOf(parsed.error)}`);
}

function issuesOf({ issues }: z.ZodError): string {
  const named = issues
    .slice(0, mostIssues)
    .map((issue) => reasonOf(`${issue.path.map(String).join(".") || "the file"}: ${issue.message}`, longestIssue));
  const more = issues.length > mostIssues ? `; and ${issues.length - mostIssues} more` : "";
  return `${named.join("; ")}${more}`;
}
