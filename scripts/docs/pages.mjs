/** Pages of comparisons say what their JSON files say: neither is edited by hand. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const percent = (part) => `${(100 * part).toFixed(1)}`;

/** As the tables print an accuracy: half an interval needs two seeds. */
const printed = ({ mean, half }) => (half === null ? `${percent(mean)} %` : `${percent(mean)} % ± ${percent(half)}`);

/** @returns {string[]} accuracies that a page has otherwise than its JSON file, or not at all */
export function checkPages(root, results) {
  const folder = join(root, "docs/results");
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => {
      const { targets = [] } = JSON.parse(readFileSync(join(folder, name), "utf8"));
      const page = name.replace(/json$/, "md");
      if (!existsSync(join(folder, page))) return [`docs/results/${page}: is missing beside ${name}`];
      return targets.flatMap(({ target, lines = [] }) =>
        lines.flatMap((line) => {
          const found = results.cell(page, target, line.name, "accuracy");
          const wanted = printed(line.accuracy);
          return found === wanted
            ? []
            : [`docs/results/${page}: ${target}, ${line.name}: ${found}, its JSON says ${wanted}`];
        }),
      );
    });
}
