/** Hashes of files of any size. */
import { createHash } from "node:crypto";
import fs from "node:fs";

/** One for all files: a buffer for each would wait for the garbage collector. */
const chunk = Buffer.allocUnsafeSlow(4 << 20);

/** SHA-256 of a file in hexadecimal, read in pieces. */
export function hashFile(path: string): string {
  const hash = createHash("sha256");
  const descriptor = fs.openSync(path, "r");
  try {
    for (;;) {
      const count = fs.readSync(descriptor, chunk, 0, chunk.length, null);
      if (count === 0) return hash.digest("hex");
      hash.update(chunk.subarray(0, count));
    }
  } finally {
    fs.closeSync(descriptor);
  }
}
