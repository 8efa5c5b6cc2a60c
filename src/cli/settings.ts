/** Flags, checks, help and configuration files from schemas of settings: the schema is the only place of each. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { shown } from "../io/quoted.ts";
import { ConfigError } from "../torch/errors.ts";
import { type Form, formOf, must, settings } from "../torch/setting.ts";

export type Shape = Readonly<Record<string, z.ZodType>>;

/** The argument parser of a flag. @throws InvalidArgumentError saying what the value must be */
export function reader(schema: z.ZodType): (text: string, before: unknown) => unknown {
  return (text, before) => {
    const read = settings.get(schema)?.read;
    const parsed = schema.safeParse(read ? read(text, before) : written(text, formOf(schema)));
    if (parsed.success) return parsed.data;
    throw new InvalidArgumentError(`It must be ${must(schema)}.`);
  };
}

/** Value from the command line, as a number where the setting may be one. */
function written(text: string, form: Form): unknown {
  const isNumeric = [form, ...(form.anyOf ?? [])].some(({ type }) => type === "number" || type === "integer");
  return isNumeric && text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** Adds a flag for each setting that has a place in --help; defaults stay with the schemas. */
export function addSettings(command: Command, shape: Shape): Command {
  for (const [name, schema] of Object.entries(shape)) {
    const about = settings.get(schema);
    if (about) command.addOption(optionOf(name, schema));
  }
  return command;
}

function optionOf(name: string, schema: z.ZodType): Option {
  const { group, help, value, usually } = settings.get(schema) ?? { group: "Run", help: "" };
  const form = formOf(schema);
  const byDefault = usually ?? (form.type === "boolean" ? undefined : form.default);
  const choices = form.enum ? `: ${form.enum.join(", ")}` : "";
  const text = `${help}${choices}${byDefault === undefined ? "" : ` (default: ${byDefault})`}`;
  const option = new Option(`--${kebab(name)}${value ? ` ${value}` : ""}`, text).helpGroup(`${group}:`);
  return value ? option.argParser(reader(schema)) : option;
}

/** An option as it is written, without dashes in front: hubMemory is hub-memory. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * Settings of a configuration file, whose keys are the flags without dashes.
 * @throws ConfigError naming every key that is none, and every value that is out of range
 */
export function checkConfig(given: unknown, shape: Shape, path: string): Record<string, unknown> {
  if (given === null || given === undefined) return {};
  if (typeof given !== "object" || Array.isArray(given)) {
    throw new ConfigError(`${shown(path)} must hold lines of the form "name: value", such as "epochs: 20"`);
  }
  const names = new Map(Object.keys(shape).map((name) => [kebab(name), name]));
  const problems: string[] = [];
  const found: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) {
    const name = names.get(key);
    const schema = name === undefined ? undefined : shape[name];
    if (name === undefined || schema === undefined) {
      problems.push(`there is no setting "${shown(key)}"${suggestion(key, [...names.keys()])}`);
      continue;
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) found[name] = parsed.data;
    else problems.push(`${key} is ${shown(JSON.stringify(value) ?? "")}: it must be ${must(schema)}`);
  }
  if (problems.length > 0) throw new ConfigError(`${shown(path)}: ${problems.slice(0, 8).join("; ")}`);
  return found;
}

function suggestion(key: string, known: readonly string[]): string {
  const plain = (text: string) => text.replaceAll(/[^a-z]/gi, "").toLowerCase();
  const near = known.find((name) => plain(name) === plain(key)) ?? known.find((name) => name.startsWith(key));
  return near === undefined ? " (train --help lists all)" : `: do you mean ${near}?`;
}

/** All settings, with the defaults of those that were not given. @throws ConfigError for a value out of range */
export function resolveSettings<S extends Shape>(shape: S, given: Readonly<Record<string, unknown>>) {
  const parsed = z.object(shape).safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = String(issue?.path[0] ?? "");
  const schema = shape[name];
  if (given[name] === undefined) throw new ConfigError(`--${kebab(name)} is missing`);
  throw new ConfigError(`--${kebab(name)} is ${shown(String(given[name]))}: it must be ${schema ? must(schema) : ""}`);
}
