/**
 * What launchers say to the processes that they start, in environment variables: who this process is among how many, and
 * where they meet. One dialect for each launcher, the first that speaks wins.
 */
import { ConfigError } from "../torch/index.ts";

export interface Contract {
  /** Name of the launcher. */
  launcher: string;
  /** Position of this process among all, 0 … worldSize - 1. */
  rank: number;
  worldSize: number;
  /** Position among the processes of this machine: the device to take. */
  localRank: number;
  /** Address and port of the store. */
  host: string;
  port: number;
  /** The launcher serves the store itself; else rank 0 does. */
  isServed: boolean;
  /** Times that the processes were started anew; undefined for a launcher that does not say it. */
  restarts: number | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Dialect {
  launcher: string;
  /** The variable that says that this launcher is there. */
  speaks: string;
  read(variables: Variables): Omit<Contract, "launcher">;
}

/** PyTorch's usual port. */
const usualPort = 29500;

/** Environment variables, with errors that name launcher and variable. */
class Variables {
  readonly #env: Environment;
  readonly #launcher: string;

  constructor(env: Environment, launcher: string) {
    this.#env = env;
    this.#launcher = launcher;
  }

  text(name: string): string | undefined {
    const value = this.#env[name]?.trim();
    return value === "" ? undefined : value;
  }

  /** @throws ConfigError when it is not set */
  needed(name: string, advice: string): string {
    const value = this.text(name);
    if (value !== undefined) return value;
    throw new ConfigError(`${this.#launcher} did not set ${name}: ${advice}`);
  }

  /** A whole number of at least 0. @throws ConfigError when it is something else, or absent without a usual value */
  count(name: string, usual?: number): number {
    const text = this.text(name);
    if (text === undefined && usual !== undefined) return usual;
    const value = Number(text);
    if (text !== undefined && Number.isInteger(value) && value >= 0) return value;
    const found = text === undefined ? "is not set" : `is "${text}"`;
    throw new ConfigError(`${this.#launcher}: ${name} ${found}, and must be a whole number of at least 0`);
  }
}

const torchrun: Dialect = {
  launcher: "torchrun",
  speaks: "RANK",
  read: (variables) => ({
    rank: variables.count("RANK"),
    worldSize: variables.count("WORLD_SIZE"),
    localRank: variables.count("LOCAL_RANK", 0),
    host: variables.needed("MASTER_ADDR", "set it to the address of the machine of rank 0"),
    port: variables.count("MASTER_PORT", usualPort),
    isServed: variables.text("TORCHELASTIC_USE_AGENT_STORE") === "True",
    restarts: variables.count("TORCHELASTIC_RESTART_COUNT", 0),
  }),
};

const slurm: Dialect = {
  launcher: "Slurm",
  // Of a step that srun started: a batch script has the job's other variables, and is no rank.
  speaks: "SLURM_STEP_ID",
  read: (variables) => {
    const nodes = variables.text("SLURM_STEP_NODELIST") ?? variables.text("SLURM_NODELIST");
    const host = variables.text("MASTER_ADDR") ?? (nodes === undefined ? undefined : firstHost(nodes));
    return {
      rank: variables.count("SLURM_PROCID"),
      worldSize: variables.count(variables.text("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS"),
      localRank: variables.count("SLURM_LOCALID", 0),
      host: host ?? variables.needed("SLURM_NODELIST", "start with srun, or set MASTER_ADDR"),
      // Two jobs on one machine must not meet: the port is the job's own.
      port: variables.count("MASTER_PORT", 15_000 + (variables.count("SLURM_JOB_ID", 0) % 20_000)),
      isServed: false,
      restarts: variables.count("SLURM_RESTART_COUNT", 0),
    };
  },
};

/** An Indexed Job: the manifest sets WORLD_SIZE to its completions, and MASTER_ADDR to the first pod's name in a headless Service. */
const kubernetes: Dialect = {
  launcher: "a Kubernetes Indexed Job",
  speaks: "JOB_COMPLETION_INDEX",
  read: (variables) => ({
    rank: variables.count("JOB_COMPLETION_INDEX"),
    worldSize: variables.count("WORLD_SIZE"),
    localRank: 0,
    host: variables.needed("MASTER_ADDR", "set it to JOB-0.SERVICE in the manifest"),
    port: variables.count("MASTER_PORT", usualPort),
    isServed: false,
    restarts: undefined,
  }),
};

/** Kubeflow's trainer speaks to torchrun; a process that it starts itself is one of each machine. */
const kubeflow: Dialect = {
  launcher: "Kubeflow",
  speaks: "PET_NODE_RANK",
  read: (variables) => {
    const each = variables.text("PET_NPROC_PER_NODE") ?? "1";
    if (each !== "1") {
      throw new ConfigError(
        `Kubeflow asks for PET_NPROC_PER_NODE=${each} processes on each machine: start them with torchrun, or set it to 1`,
      );
    }
    return {
      rank: variables.count("PET_NODE_RANK"),
      worldSize: variables.count("PET_NNODES"),
      localRank: 0,
      host: variables.needed("PET_MASTER_ADDR", "set it to the address of the machine of rank 0"),
      port: variables.count("PET_MASTER_PORT", usualPort),
      isServed: false,
      restarts: undefined,
    };
  },
};

const dialects: readonly Dialect[] = [torchrun, slurm, kubernetes, kubeflow];

/**
 * What the launcher says; undefined for a process that none has started, or that is alone.
 * @throws ConfigError naming the launcher and a variable that is missing or wrong
 */
export function readContract(env: Environment = process.env): Contract | undefined {
  const dialect = dialects.find(({ speaks }) => env[speaks] !== undefined && env[speaks] !== "");
  if (!dialect) return undefined;
  const { launcher } = dialect;
  const contract = { launcher, ...dialect.read(new Variables(env, launcher)) };
  const { rank, worldSize } = contract;
  if (worldSize <= 1) return undefined;
  if (rank < worldSize) return contract;
  throw new ConfigError(
    `${launcher} says that this is rank ${rank} of ${worldSize}: ranks go from 0 to ${worldSize - 1}`,
  );
}

/** The first machine of Slurm's list, such as gpu[003-007,9],login1 (source: Slurm's documentation of hostlist expressions). */
export function firstHost(nodes: string): string {
  const [first = ""] = nodes.replace(/\[([^\],-]*)[^\]]*\]/g, "$1").split(",");
  return first;
}
