/** Hooks of one file's tests: test files share processes, and those that follow must not meet them. */
import { after, afterEach as afterEachOfProcess, beforeEach as beforeEachOfProcess } from "node:test";

type Hook = () => void | Promise<void>;

/** The hook until the file's tests are over. */
function here(hook: Hook): Hook {
  let isOver = false;
  after(() => {
    isOver = true;
  });
  return async () => {
    if (!isOver) await hook();
  };
}

export function beforeEach(hook: Hook): void {
  beforeEachOfProcess(here(hook));
}

export function afterEach(hook: Hook): void {
  afterEachOfProcess(here(hook));
}
