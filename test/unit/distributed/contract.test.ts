import assert from "node:assert/strict";
import { test } from "node:test";
import { firstHost, readContract } from "../../../src/distributed/index.ts";
import { ConfigError } from "../../../src/torch/index.ts";

const torchrun = {
  RANK: "5",
  WORLD_SIZE: "8",
  LOCAL_RANK: "1",
  MASTER_ADDR: "10.0.0.1",
  MASTER_PORT: "29400",
  TORCHELASTIC_RESTART_COUNT: "2",
  TORCHELASTIC_USE_AGENT_STORE: "True",
};

test("each launcher is understood", () => {
  const cases: [Record<string, string>, Record<string, unknown>][] = [
    [
      torchrun,
      {
        launcher: "torchrun",
        rank: 5,
        worldSize: 8,
        localRank: 1,
        host: "10.0.0.1",
        port: 29_400,
        isServed: true,
        restarts: 2,
      },
    ],
    [
      { RANK: "0", WORLD_SIZE: "2", MASTER_ADDR: "a" },
      {
        launcher: "torchrun",
        rank: 0,
        worldSize: 2,
        localRank: 0,
        host: "a",
        port: 29_500,
        isServed: false,
        restarts: 0,
      },
    ],
    [
      {
        SLURM_STEP_ID: "0",
        SLURM_PROCID: "3",
        SLURM_NTASKS: "4",
        SLURM_LOCALID: "1",
        SLURM_NODELIST: "gpu[07-08]",
        SLURM_JOB_ID: "43210",
        SLURM_RESTART_COUNT: "1",
      },
      {
        launcher: "Slurm",
        rank: 3,
        worldSize: 4,
        localRank: 1,
        host: "gpu07",
        port: 18_210,
        isServed: false,
        restarts: 1,
      },
    ],
    [
      { JOB_COMPLETION_INDEX: "1", WORLD_SIZE: "3", MASTER_ADDR: "train-0.train" },
      {
        launcher: "a Kubernetes Indexed Job",
        rank: 1,
        worldSize: 3,
        localRank: 0,
        host: "train-0.train",
        port: 29_500,
        isServed: false,
        restarts: undefined,
      },
    ],
    [
      { PET_NODE_RANK: "1", PET_NNODES: "2", PET_NPROC_PER_NODE: "1", PET_MASTER_ADDR: "m", PET_MASTER_PORT: "23456" },
      {
        launcher: "Kubeflow",
        rank: 1,
        worldSize: 2,
        localRank: 0,
        host: "m",
        port: 23_456,
        isServed: false,
        restarts: undefined,
      },
    ],
  ];
  for (const [env, expected] of cases) assert.deepEqual(readContract(env), expected);
});

/** What srun of Slurm 22.05 set for the last of four tasks on two machines, and sbatch for the script around it. */
const slurmJob = {
  SLURM_JOBID: "5",
  SLURM_JOB_ID: "5",
  SLURM_JOB_NODELIST: "cn[1-2]",
  SLURM_JOB_NUM_NODES: "2",
  SLURM_NNODES: "2",
  SLURM_NODEID: "0",
  SLURM_NODELIST: "cn[1-2]",
  SLURM_NPROCS: "4",
  SLURM_NTASKS: "4",
  SLURM_NTASKS_PER_NODE: "2",
  SLURM_LOCALID: "0",
  SLURM_PROCID: "0",
  SLURM_GTIDS: "0",
  SLURM_TASKS_PER_NODE: "2(x2)",
  SLURM_SUBMIT_HOST: "vm",
};
const slurmTask = {
  ...slurmJob,
  SLURM_GTIDS: "2,3",
  SLURM_LAUNCH_NODE_IPADDR: "10.99.0.1",
  SLURM_LOCALID: "1",
  SLURM_NODEID: "1",
  SLURM_PROCID: "3",
  SLURM_SRUN_COMM_HOST: "10.99.0.1",
  SLURM_STEPID: "0",
  SLURM_STEP_ID: "0",
  SLURM_STEP_NODELIST: "cn[1-2]",
  SLURM_STEP_NUM_NODES: "2",
  SLURM_STEP_NUM_TASKS: "4",
  SLURM_STEP_TASKS_PER_NODE: "2(x2)",
};

test("a task of a real Slurm is a rank, and the script around it, which has the job's variables, is none", () => {
  const expected = {
    launcher: "Slurm",
    rank: 3,
    worldSize: 4,
    localRank: 1,
    host: "cn1",
    port: 15_005,
    isServed: false,
    restarts: 0,
  };
  assert.deepEqual(readContract(slurmTask), expected);
  assert.equal(readContract({ ...slurmTask, SLURM_RESTART_COUNT: "1" })?.restarts, 1, "a job that was requeued");
  // A step of the second machine alone.
  const second = { SLURM_STEP_NODELIST: "cn2", SLURM_STEP_NUM_TASKS: "2", SLURM_PROCID: "1" };
  assert.deepEqual(readContract({ ...slurmTask, ...second }), { ...expected, rank: 1, worldSize: 2, host: "cn2" });
  assert.equal(readContract(slurmJob), undefined);
});

test("torchrun inside a Slurm job is torchrun; a process alone has no contract", () => {
  assert.equal(
    readContract({ ...torchrun, SLURM_STEP_ID: "0", SLURM_PROCID: "0", SLURM_NTASKS: "2" })?.launcher,
    "torchrun",
  );
  assert.equal(readContract({}), undefined);
  assert.equal(readContract({ RANK: "" }), undefined);
  assert.equal(
    readContract({ SLURM_STEP_ID: "0", SLURM_PROCID: "0", SLURM_NTASKS: "1", SLURM_NODELIST: "a" }),
    undefined,
  );
});

test("the first machine of a Slurm list", () => {
  const cases = {
    node1: "node1",
    "node1,node2": "node1",
    "gpu[003-007,9],login1": "gpu003",
    "gpu[9,003]": "gpu9",
    "rack2-[1-4].cluster": "rack2-1.cluster",
    "10.0.0.[5-6]": "10.0.0.5",
    "rack[2-4]-n[03-12],login1": "rack2-n03",
  };
  for (const [nodes, first] of Object.entries(cases)) assert.equal(firstHost(nodes), first, nodes);
});

test("what is missing or wrong is named with its launcher", () => {
  const { MASTER_ADDR: _, ...homeless } = torchrun;
  const cases: [Record<string, string>, RegExp][] = [
    [homeless, /torchrun did not set MASTER_ADDR: set it to the address/],
    [{ ...torchrun, WORLD_SIZE: "two" }, /torchrun: WORLD_SIZE is "two", and must be a whole number/],
    [{ ...torchrun, RANK: "8" }, /torchrun says that this is rank 8 of 8: ranks go from 0 to 7/],
    [{ ...torchrun, RANK: "-1" }, /RANK is "-1"/],
    [{ SLURM_STEP_ID: "0", SLURM_PROCID: "0" }, /Slurm: SLURM_NTASKS is not set|start with srun/],
    [{ SLURM_STEP_ID: "0", SLURM_PROCID: "0", SLURM_NTASKS: "2" }, /start with srun, or set MASTER_ADDR/],
    [{ JOB_COMPLETION_INDEX: "0", MASTER_ADDR: "a" }, /Kubernetes Indexed Job: WORLD_SIZE is not set/],
    [{ PET_NODE_RANK: "0", PET_NNODES: "2", PET_NPROC_PER_NODE: "4" }, /start them with torchrun, or set it to 1/],
  ];
  for (const [env, pattern] of cases) {
    assert.throws(
      () => readContract(env),
      (error) => error instanceof ConfigError && pattern.test(error.message),
    );
  }
});
