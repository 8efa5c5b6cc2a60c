/** The hub of npm packages, where it was made: its tests load TensorFlow.js, which takes seconds. */
import { existsSync } from "node:fs";
import { describe } from "node:test";

const hub = new URL("../../hubs/javascript/hub.json", import.meta.url);
if (existsSync(hub)) await import("./javascript-hub.ts");
else describe("the hub of npm packages", { skip: "hubs/javascript is not there: `npm run javascript-hub` makes it" });
