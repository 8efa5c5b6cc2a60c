/** Values that JavaScript bundles export, taken from their source text: nothing of a package is run. */
import { readFileSync } from "node:fs";
import ts from "typescript";
import { UserError } from "../../../src/torch/index.ts";

/** The plain value (JSON's kinds) that a CommonJS bundle assigns to `module.exports`. @throws UserError when there is none */
export function exportedValue(path: string): unknown {
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS);
  const found = exported(source);
  if (!found) throw new UserError(`${path} exports no plain value: the package has changed`);
  return plainValue(found, path);
}

/** The right side of the first `something.exports = ...` that is written as a value. */
function exported(node: ts.Node): ts.Expression | undefined {
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
    const { left, right } = node;
    const isExports = ts.isPropertyAccessExpression(left) && left.name.text === "exports";
    if (isExports && (ts.isObjectLiteralExpression(right) || ts.isStringLiteralLike(right))) return right;
  }
  return ts.forEachChild(node, exported);
}

function plainValue(node: ts.Expression, path: string): unknown {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (node.kind === ts.SyntaxKind.TrueKeyword) return true;
  if (node.kind === ts.SyntaxKind.FalseKeyword) return false;
  if (node.kind === ts.SyntaxKind.NullKeyword) return null;
  if (ts.isArrayLiteralExpression(node)) return node.elements.map((element) => plainValue(element, path));
  if (ts.isPrefixUnaryExpression(node) && ts.isNumericLiteral(node.operand)) {
    const number = Number(node.operand.text);
    if (node.operator === ts.SyntaxKind.MinusToken) return -number;
    // Minifiers write !0 and !1.
    if (node.operator === ts.SyntaxKind.ExclamationToken) return number === 0;
  }
  if (ts.isObjectLiteralExpression(node)) {
    const entries = node.properties.map((property): [string, unknown] => {
      const name = ts.isPropertyAssignment(property) ? property.name : undefined;
      if (!name || !ts.isPropertyAssignment(property) || ts.isComputedPropertyName(name)) return refuse(node, path);
      return [name.text, plainValue(property.initializer, path)];
    });
    return Object.fromEntries(entries);
  }
  return refuse(node, path);
}

function refuse(node: ts.Node, path: string): never {
  throw new UserError(`${path} computes what it exports (${node.getText().slice(0, 60)}): the package has changed`);
}
