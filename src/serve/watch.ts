/**
 * Models named in a folder: each folder in it, or link to one, that holds a finished run or a bundle, under its own name. The
 * folder is looked at again and again, since notices of file systems get lost on networks and in containers.
 */
import { existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { explainRead } from "../io/index.ts";

/** A place that a name leads to now. */
export interface Named {
  readonly name: string;
  readonly path: string;
  /** Another one as soon as the model is another one. */
  readonly identity: string;
}

/** Files that are written last. */
const marks = ["bundle.json", "model/model.json"];

/** Models that a folder names now, by name. @throws UserError when it cannot be read */
export function modelsNamedIn(folder: string): Named[] {
  try {
    const names = readdirSync(folder).filter((name) => !name.startsWith("."));
    return names.sort().flatMap((name) => {
      const named = look(name, join(folder, name));
      return named ? [named] : [];
    });
  } catch (error) {
    throw explainRead(error, folder);
  }
}

function look(name: string, path: string): Named | undefined {
  try {
    const real = realpathSync(path);
    const mark = marks.map((file) => join(real, file)).find(existsSync);
    if (mark === undefined) return undefined;
    const { ino, mtimeMs, size } = statSync(mark);
    return { name, path: real, identity: [real, ino, mtimeMs, size].join("|") };
  } catch {
    // A link into nowhere, or a folder that is being replaced: it is looked at again.
    return undefined;
  }
}
