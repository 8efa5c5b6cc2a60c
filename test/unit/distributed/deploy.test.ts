/** The launchers' files against the program: its flags, and the variables that it reads. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { buildProgram } from "../../../src/cli/main.ts";
import { readContract } from "../../../src/distributed/index.ts";
import { type ExperimentEntry, experiments, missingHubs } from "../../../src/experiments/index.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** The program as launchers start it: npx would end at a signal, and the program hear nothing of it. */
const installed = ["node_modules/.bin/hub-pathway"];

/** Asserts that `train` takes these arguments, and names its folder. */
function assertTrains(args: readonly string[]): void {
  const train = buildProgram([]).commands.find((command) => command.name() === "train");
  assert.ok(train && args[0] === "train");
  let out: unknown;
  train.exitOverride().action((_images: string, flags: Record<string, unknown>) => {
    out = flags["out"] ?? flags["resume"];
  });
  train.parse(args.slice(1), { from: "user" });
  assert.ok(out, "ranks need a folder that all mean");
}

/** Asserts that these arguments start a worker of an experiment, in folders that all see. */
function assertWorks(args: readonly string[], folder: string): void {
  const experiment = buildProgram([]).commands.find((command) => command.name() === "experiment");
  assert.ok(experiment && args[0] === "experiment");
  let found: Record<string, unknown> = {};
  experiment.exitOverride().action((_name: string, flags: Record<string, unknown>) => {
    found = flags;
  });
  experiment.parse(args.slice(1), { from: "user" });
  assert.equal(found["worker"], true);
  for (const flag of ["results", "cache"]) assert.ok(String(found[flag]).startsWith(folder), flag);
}

interface Manifest {
  kind: string;
  metadata: { name: string };
  spec: {
    clusterIP?: string;
    selector?: Record<string, string>;
    ports?: { port: number }[];
    completionMode?: string;
    completions?: number;
    parallelism?: number;
    template?: {
      spec: {
        subdomain: string;
        containers: {
          command: string[];
          args: string[];
          env: { name: string; value: string }[];
          volumeMounts: { mountPath: string }[];
        }[];
      };
    };
  };
}

test("the Indexed Job's pods are ranks that find the first one", () => {
  const [service, job] = parseAllDocuments(read("deploy/train-kubernetes.yaml")).map((one) => one.toJS() as Manifest);
  const { completionMode, completions, parallelism, template } = job?.spec ?? {};
  const [container] = template?.spec.containers ?? [];
  assert.ok(service && job && container && template);
  assert.deepEqual([completionMode, parallelism], ["Indexed", completions]);
  assert.deepEqual(container.command, installed);
  assertTrains(container.args);
  const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));
  const last = readContract({ ...env, JOB_COMPLETION_INDEX: String((completions ?? 0) - 1) });
  assert.ok(last);
  assert.equal(last.worldSize, completions);
  assert.equal(last.host, `${job.metadata.name}-0.${service.metadata.name}`);
  assert.equal(template.spec.subdomain, service.metadata.name);
  assert.equal(service.spec.clusterIP, "None");
  assert.deepEqual(service.spec.selector, { "job-name": job.metadata.name });
  assert.deepEqual(
    service.spec.ports?.map(({ port }) => port),
    [last.port],
  );
});

/** Command lines of a script that srun starts, with the arguments that its head shows. */
function slurmLines(text: string): string[][] {
  const [, shown = ""] = /^# +sbatch --export=ALL,(?:RUN|RESULTS)=\.\.\. \S+ (.*)$/m.exec(text) ?? [];
  const lines = [...text.matchAll(new RegExp(`^ *srun (?:--\\S+ )*${installed[0]} (.*)$`, "gm"))];
  return lines.map(([, line = ""]) => line.replace('"$@"', shown).replaceAll('"', "").split(" "));
}

test("Slurm's script starts a rank for each task", () => {
  const text = read("deploy/train-slurm.sbatch");
  const lines = slurmLines(text);
  assert.deepEqual(lines, [
    ["train", "--resume", "$RUN"],
    ["train", "IMAGES", "--hub", "HUB", "--out", "$RUN"],
  ]);
  for (const line of lines) assertTrains(line);
  const [nodes, tasks] = ["nodes", "ntasks-per-node"].map((name) =>
    Number(new RegExp(`--${name}=(\\d+)`).exec(text)?.[1]),
  );
  const env = {
    SLURM_STEP_ID: "0",
    SLURM_PROCID: "1",
    SLURM_NTASKS: String((nodes ?? 0) * (tasks ?? 0)),
    SLURM_NODELIST: "n[1-2]",
  };
  assert.equal(readContract(env)?.worldSize, 2);
});

test("workers of an experiment share their folders, as many as a job has pods", () => {
  const [job] = parseAllDocuments(read("deploy/experiment-kubernetes.yaml")).map((one) => one.toJS() as Manifest);
  const { completionMode, completions, parallelism, template } = job?.spec ?? {};
  const [container] = template?.spec.containers ?? [];
  assert.ok(container);
  assert.deepEqual([completionMode, parallelism], ["Indexed", completions]);
  assert.deepEqual(container.command, installed);
  const [mount] = container.volumeMounts;
  assertWorks(container.args, mount?.mountPath ?? "none");
  const experiment = container.args[1] ?? "";
  assert.ok(
    Object.hasOwn(experiments, experiment) && missingHubs(experiments[experiment] as ExperimentEntry).length === 0,
  );
});

test("Slurm's array is one worker a task, which the signal reaches", () => {
  const text = read("deploy/experiment-slurm.sbatch");
  const [line = []] = slurmLines(text);
  assert.deepEqual(line.slice(0, 4), ["experiment", "NAME", "--seeds", "5"]);
  assertWorks(line, "$RESULTS");
  assert.match(text, /^#SBATCH --array=0-\d+$/m);
  assert.match(text, /^#SBATCH --signal=TERM@\d+$/m);
});

test("the page's commands of workers are the program's", () => {
  const commands = [...read("docs/cluster.md").matchAll(/npx hub-pathway (experiment [^`\n#]+)/g)].map(
    ([, line = ""]) => line,
  );
  assert.ok(commands.length >= 3);
  for (const line of commands.filter((own) => own.includes("--worker"))) assertWorks(line.trim().split(/ +/), "shared");
});

test("the page's commands are the program's", () => {
  const commands = [
    ...read("docs/cluster.md").matchAll(/(?:npx |node_modules\/\.bin\/)hub-pathway (train [^`\n]+)/g),
  ].map(([, line = ""]) => line);
  assert.equal(commands.length, 3);
  for (const line of commands) assertTrains(line.trim().split(/ +/));
});
