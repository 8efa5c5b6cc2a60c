/** The weight files of the repository's hubs are the ones that their manifests describe. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Folders that hold weights, or say that they do. */
function hubsOf(files) {
  const found = files.flatMap((file) => /^(hubs\/[^/]+)\/(?:hub\.json|.*\.safetensors)$/.exec(file)?.[1] ?? []);
  return [...new Set(found)];
}

export function checkHubs(root, files) {
  return hubsOf(files).flatMap((hub) => checkHub(root, files, hub));
}

function checkHub(root, files, hub) {
  const manifest = join(root, hub, "hub.json");
  if (!existsSync(manifest)) return [`${hub}: no hub.json`];
  const { members } = JSON.parse(readFileSync(manifest, "utf8"));
  const problems = [];
  const named = new Set();
  for (const { name, weights } of members) {
    const file = `${hub}/${weights.file}`;
    named.add(file);
    if (!files.includes(file)) {
      problems.push(`${file}: named by member ${name}, but not in the repository`);
      continue;
    }
    const actual = createHash("sha256")
      .update(readFileSync(join(root, file)))
      .digest("hex");
    if (actual !== weights.sha256) problems.push(`${file}: sha256 ${actual}, the manifest says ${weights.sha256}`);
  }
  for (const file of files) {
    if (file.startsWith(`${hub}/`) && file.endsWith(".safetensors") && !named.has(file)) {
      problems.push(`${file}: no member in hub.json names it`);
    }
  }
  return problems;
}
