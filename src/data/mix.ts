/** Several known data sets as one task: the classes of all, side by side. */
import { UserError } from "../torch/index.ts";
import type { Dataset } from "./types.ts";

/**
 * Joins data sets: classes and items carry their data set's name, groups stay apart. A part that publishes all three sides of
 * its split keeps them; a published test side alone is dropped, since other parts have none.
 * @throws UserError when a part comes twice
 */
export function mixDatasets(parts: readonly Dataset[]): Dataset {
  const names = parts.map((part) => part.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UserError(`the mix ${names.join("+")} has ${twice} twice`);
  const unsplit = new Set<number>();
  let offset = 0;
  const items = parts.flatMap(({ name, classes, items: own }) => {
    const first = offset;
    offset += classes.length;
    const isWhole = own.some(({ split }) => split === "validation") && own.some(({ split }) => split === "test");
    if (!isWhole) for (const label of classes.keys()) unsplit.add(first + label);
    return own.map(({ split, ...item }) => ({
      ...item,
      ...(isWhole && split !== undefined ? { split } : {}),
      id: `${name}/${item.id}`,
      label: item.label < 0 ? -1 : first + item.label,
      ...(item.group === undefined ? {} : { group: `${name}/${item.group}` }),
    }));
  });
  return {
    name: names.join("+"),
    classes: parts.flatMap(({ name, classes }) => classes.map((own) => `${name}: ${own}`)),
    items,
    unsplit,
    licence: parts.map((part) => part.licence).join("; "),
    origin: parts.map((part) => part.origin).join("; "),
    asPublished: true,
  };
}
