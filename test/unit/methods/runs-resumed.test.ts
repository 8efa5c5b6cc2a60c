/** Methods that keep something of their own go on after interruptions exactly as without them. */
// Long: three runs of each; runs.test.ts has the same of three methods.
import { before, test } from "node:test";
import { assertResumes } from "../../support/resumed-run.ts";
import { zooRequests } from "../../support/zoo-hub.ts";

let request: Awaited<ReturnType<typeof zooRequests>>;

before(async () => {
  request = await zooRequests();
});

for (const name of ["zoo-tuning-lite", "knowledge-flow", "b-tuning", "co-tuning", "delta", "soup"])
  test(`${name} goes on after interruptions exactly as without them`, () => assertResumes(request, name));
