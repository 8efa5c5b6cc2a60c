/** No file of src reaches itself through its imports, type-only ones among them. */
import { dirname, join, normalize } from "node:path";
import { textOf } from "./files.mjs";
import { importsOf } from "./imports.mjs";

/** @returns {Map<string, string[]>} each file of src with the files of src that it imports */
function importGraph(root, files) {
  const sources = files.filter((path) => /^src\/.*\.ts$/.test(path));
  const known = new Set(sources);
  const targetsOf = (file) =>
    importsOf(textOf(root, file) ?? "")
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) => normalize(join(dirname(file), specifier)))
      .filter((target) => known.has(target));
  return new Map(sources.map((file) => [file, [...new Set(targetsOf(file))].sort()]));
}

/**
 * One shortest circle for each set of files that reach each other.
 * @param {Map<string, string[]>} graph each node with the nodes that it points to
 * @returns {string[][]} nodes in order; the last points to the first
 */
export function circlesIn(graph) {
  const seen = new Set();
  const circles = [];
  for (const start of graph.keys()) {
    if (seen.has(start)) continue;
    const circle = shortestWayBack(graph, start);
    if (!circle) continue;
    circles.push(circle);
    for (const node of circle) seen.add(node);
  }
  return circles;
}

/** The shortest way from a node to itself, breadth first. */
function shortestWayBack(graph, start) {
  const cameFrom = new Map();
  const queue = [start];
  for (const node of queue) {
    for (const next of graph.get(node) ?? []) {
      if (next === start) return wayTo(cameFrom, node);
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, node);
      queue.push(next);
    }
  }
  return undefined;
}

function wayTo(cameFrom, node) {
  const way = [];
  for (let at = node; at !== undefined; at = cameFrom.get(at)) way.unshift(at);
  return way;
}

export function checkCircles(root, files) {
  return circlesIn(importGraph(root, files)).map((circle) => `circle: ${[...circle, circle[0]].join(" -> ")}`);
}
