/** Arguments with which Node runs TypeScript, for a test that starts a process of its own. */
export const loader = new URL("../../scripts/typescript.mjs", import.meta.url).href;

export const typescript: readonly string[] = ["--import", loader];
