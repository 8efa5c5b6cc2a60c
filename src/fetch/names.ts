/** Names that come from elsewhere: as paths below a folder of ours, and in messages. */
import { shown } from "../io/index.ts";
import { UserError } from "../torch/index.ts";

const maximumPath = 1000;
const maximumPart = 255;

/** True when a "/"-separated name stays below a folder, by the rules of POSIX and of Windows, and can be a file there. */
export function safeRelativePath(name: string): boolean {
  if (name.length > maximumPath || /[\\\p{Cc}]/u.test(name)) return false;
  return name.split("/").every((part) => {
    const isName = part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= maximumPart;
    return isName && !/^[a-z]:/i.test(part);
  });
}

/** The name itself. @throws UserError when it is not safe, saying who named it */
export function checkedPath(name: string, where: string): string {
  if (safeRelativePath(name)) return name;
  throw new UserError(`${where} names the file "${shown(name)}", which is not a path inside its folder: it is refused`);
}

/** An address as it may stand in a message: queries hold signatures. */
export function shownUrl(url: string | URL): string {
  const { origin, pathname, search } = new URL(url);
  return shown(`${origin}${pathname}${search === "" ? "" : "?…"}`);
}
