/** Lets Node run the TypeScript sources of a checkout: `node --import ./scripts/typescript.mjs FILE.ts`. */
import { register } from "node:module";

process.setSourceMapsEnabled(true);
register("./typescript-hooks.mjs", import.meta.url);
