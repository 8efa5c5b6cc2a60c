/** Registered properties of a setting; its schema has type, range and default. */
import { z } from "zod";

/** Headings of --help. */
export type SettingGroup = "Images" | "Models" | "Pathways" | "Training" | "Run";

export interface Setting {
  group: SettingGroup;
  help: string;
  /** Its flag, where that has another name, as it is written in programs. */
  flag?: string;
  /** Placeholder of its value in --help, such as `<n>`; none for a switch. */
  value?: string;
  /** The value in words, where the schema does not say it. */
  must?: string;
  /** Default in the words of --help, where it is no fixed value. */
  usually?: string;
  /** Reads what is written after the flag, where that is not the value itself; `before` holds earlier ones of a repeated flag. */
  read?: (text: string, before: unknown) => unknown;
}

export const settings = z.registry<Setting>();

/** The parts of a JSON schema that say what a value must be. */
export interface Form {
  type?: string;
  enum?: readonly unknown[];
  const?: unknown;
  default?: unknown;
  anyOf?: readonly Form[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

export const formOf = (schema: z.ZodType): Form =>
  z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Form;

/** Allowed values, in words: "a whole number from 1 to 9". */
export function must(schema: z.ZodType): string {
  return settings.get(schema)?.must ?? inWords(formOf(schema));
}

function inWords(form: Form): string {
  if (form.anyOf) return form.anyOf.map(inWords).join(" or ");
  if (form.enum) return `one of ${form.enum.join(", ")}`;
  if (form.const !== undefined) return String(form.const);
  if (form.type === "boolean") return "true or false";
  if (form.type === "array") return "a list of numbers";
  if (form.type !== "number" && form.type !== "integer") return "text";
  const kind = form.type === "integer" ? "a whole number" : "a number";
  const { exclusiveMinimum, exclusiveMaximum } = form;
  const minimum = bounded(form.minimum);
  const maximum = bounded(form.maximum);
  if (minimum !== undefined && maximum !== undefined) return `${kind} from ${minimum} to ${maximum}`;
  const limits = [
    ...(exclusiveMinimum === undefined ? [] : [`above ${exclusiveMinimum}`]),
    ...(minimum === undefined ? [] : [`of at least ${minimum}`]),
    ...(exclusiveMaximum === undefined ? [] : [`below ${exclusiveMaximum}`]),
    ...(maximum === undefined ? [] : [`at most ${maximum}`]),
  ];
  return limits.length === 0 ? kind : `${kind} ${limits.join(" and ")}`;
}

/** Whole numbers have limits of their own, which nobody needs to read. */
const bounded = (value: number | undefined): number | undefined =>
  value === undefined || Math.abs(value) >= Number.MAX_SAFE_INTEGER ? undefined : value;
