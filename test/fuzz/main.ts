/**
 * Feeds changed files to the readers: `npm run fuzz -- --format onnx --minutes 5`. Everything but success and a proper
 * refusal (UserError) is a finding: other exceptions, crashes, hangs, memory, tensors and files that are left behind.
 */
import { ConfigError } from "../../src/torch/errors.ts";
import { main } from "./command.ts";

// An orderly exit ends the child and removes its files.
process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}
