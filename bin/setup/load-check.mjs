// Run as a process: loads the addon at argv[2], and fails when an operator schema in argv[3] is not the library's.
import { createRequire } from "node:module";

const [, , addonPath, schemasText = "[]"] = process.argv;
try {
  const native = createRequire(import.meta.url)(addonPath);
  native.library();
  const different = JSON.parse(schemasText).filter((schema) => {
    const [, base, overload = ""] = /^(\w+::\w+)\.?(\w*)\(/.exec(schema) ?? [];
    return native.findOperator(base, overload)?.schema !== schema;
  });
  if (different.length > 0) {
    throw new Error(`${different.length} operators in use are other ones in this libtorch, the first: ${different[0]}`);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
