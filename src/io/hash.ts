/** Hashes of files of any size. */
import { createHash } from "node:crypto";
import { piecesOf } from "./regular-file.ts";

/** SHA-256 of a file in hexadecimal, read in pieces. @throws UserError when it cannot be read, or is no regular file */
export function hashFile(path: string): string {
  const hash = createHash("sha256");
  for (const piece of piecesOf(path)) hash.update(piece);
  return hash.digest("hex");
}
