/**
 * Writes src/torch/ops.generated.ts: a typed function for each operator in src/torch/ops.list.json, from the schemas
 * of the libtorch that is loaded. With --check it only compares, and fails when the file is out of date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ArgumentInfo, native, type OperatorInfo } from "../src/torch/native.ts";

const listPath = fileURLToPath(new URL("../src/torch/ops.list.json", import.meta.url));
const outputPath = fileURLToPath(new URL("../src/torch/ops.generated.ts", import.meta.url));

/** They draw random numbers from the library's global generator, which no checkpoint can save. */
const banned = /dropout|_efficient_attention|^aten::(rand|randn|randperm|randint|normal|rrelu|multinomial)$/;

const scalarTypes: Record<string, string> = {
  Tensor: "Tensor",
  int: "number",
  SymInt: "number",
  float: "number",
  bool: "boolean",
  str: "string",
  Scalar: "number",
  ScalarType: "Dtype",
  Device: "string",
  Layout: '"strided"',
  MemoryFormat: "MemoryFormat",
  Generator: "Generator",
};

function typeOf(argument: ArgumentInfo, type = argument.type): string {
  if (type.endsWith("?")) return `${typeOf(argument, type.slice(0, -1))} | null`;
  if (type.endsWith("[]")) {
    const element = typeOf(argument, type.slice(0, -2)).replace("Tensor | number", "Tensor");
    const list = element.includes(" ") ? `readonly (${element})[]` : `readonly ${element}[]`;
    return argument.fixedLength ? `${element} | ${list}` : list;
  }
  if (type === "Tensor" && argument.name === "other") return "Tensor | number";
  const mapped = scalarTypes[type];
  if (!mapped) throw new Error(`no TypeScript type for ${type} (argument ${argument.name})`);
  return mapped;
}

function returnTypeOf(info: OperatorInfo, inPlace: boolean): string {
  const types = info.returns.map((type) =>
    type.endsWith("[]") ? `${scalarTypes[type.slice(0, -2)]}[]` : (scalarTypes[type] ?? "unknown"),
  );
  if (inPlace) return "Tensor";
  if (types.length === 0) return "void";
  return types.length === 1 ? (types[0] ?? "void") : `[${types.join(", ")}]`;
}

const reserved = new Set(["var", "in", "with", "function", "default", "new", "delete", "where"]);

/** An operator's line in the interface, and its line in the implementation. */
interface Lines {
  declaration: string;
  implementation: string;
}

function linesOf(name: string, operator: string): Lines {
  if (banned.test(operator)) throw new Error(`${operator} draws random numbers without a generator: use bernoulli_`);
  const [base = "", overload = ""] = operator.split(".");
  const info = native.findOperator(base, overload);
  if (!info) throw new Error(`the loaded libtorch has no operator ${operator}`);
  const inPlace = base.endsWith("_") && !base.startsWith("aten::_f");
  const positional = info.arguments.filter((argument) => !argument.keywordOnly);
  const keywords = info.arguments.filter((argument) => argument.keywordOnly);
  const optional = (argument: ArgumentInfo) => argument.hasDefault || argument.type.endsWith("?");
  const needsOptions = keywords.some((argument) => !optional(argument));
  const lastRequired = needsOptions ? positional.length : positional.findLastIndex((argument) => !optional(argument));
  const camel = (argument: ArgumentInfo) => (reserved.has(argument.name) ? `${argument.name}_` : argument.name);
  const parameters = positional.map((argument, i) => {
    if (!optional(argument)) return `${camel(argument)}: ${typeOf(argument)}`;
    return i > lastRequired
      ? `${camel(argument)}?: ${typeOf(argument)}`
      : `${camel(argument)}: ${typeOf(argument)} | undefined`;
  });
  if (keywords.length > 0) {
    const fields = keywords.map(
      (a) => `${a.name}${optional(a) ? "?" : ""}: ${typeOf(a)}${optional(a) ? " | undefined" : ""}`,
    );
    parameters.push(`options${needsOptions ? "" : "?"}: { ${fields.join("; ")} }`);
  }
  const values = [
    ...positional.map(camel),
    ...keywords.map((argument) => `options${optional(argument) ? "?" : ""}.${argument.name}`),
  ];
  const result = returnTypeOf(info, inPlace);
  const callText = `run(operators.${name}, [${values.join(", ")}])`;
  const body = result === "void" ? `void ${callText}` : `${callText} as ${result.replaceAll("Tensor", "Owned")}`;
  const names = [...positional.map(camel), ...(keywords.length > 0 ? ["options"] : [])];
  return {
    declaration: `  /** \`${info.schema}\` */\n  ${name}(${parameters.join(", ")}): ${result};`,
    implementation: `  ${name}: (${names.join(", ")}) => ${body},`,
  };
}

function generate(): string {
  const list = JSON.parse(readFileSync(listPath, "utf8")) as Record<string, string>;
  const names = Object.keys(list).sort();
  const lines = names.map((name) => linesOf(name, list[name] ?? ""));
  return [
    "// Written by scripts/generate-ops.ts from ops.list.json and the loaded library's schemas. Do not edit.",
    'import { operator, run } from "./call.ts";',
    'import type { Generator } from "./generator.ts";',
    'import type { Dtype, MemoryFormat } from "./native.ts";',
    'import type { Owned } from "./scope.ts";',
    "",
    "/** Every listed operator by its TypeScript name. */",
    "export const operators = {",
    ...names.map((name) => `  ${name}: operator("${list[name]}"),`),
    "};",
    "",
    "/** Typed functions of the listed operators; the class of tensors is a parameter, because its methods call them. */",
    "export interface Operators<Tensor extends Owned> {",
    ...lines.map(({ declaration }) => declaration),
    "}",
    "",
    "export const functions: Operators<Owned> = {",
    ...lines.map(({ implementation }) => implementation),
    "};",
    "",
  ].join("\n");
}

const text = generate();
if (process.argv.includes("--check")) {
  if (readFileSync(outputPath, "utf8") !== text) {
    console.error(
      "src/torch/ops.generated.ts is out of date: run `node --import ./scripts/typescript.mjs scripts/generate-ops.ts`",
    );
    process.exitCode = 1;
  }
} else {
  writeFileSync(outputPath, text);
  console.log(`wrote ${outputPath}`);
}
