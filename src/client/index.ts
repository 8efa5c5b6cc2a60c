/**
 * A client of `hub-pathway serve`, for browsers and Node: `fetch` and nothing else, typed from the server's own schemas.
 * It may import types of serve, and nothing that runs.
 */
import type {
  AnyServed,
  ModelDescription,
  PredictAnswer,
  PredictOptions,
  ProblemDetails,
  ServedFailure,
  ServedLabels,
  ServedNumbers,
  ServedPrediction,
  // Not from its index, whose types need Node's.
} from "../serve/schemas.ts";

export type {
  AnyServed,
  ModelDescription,
  PredictAnswer,
  PredictOptions,
  ProblemDetails,
  ServedFailure,
  ServedLabels,
  ServedNumbers,
  ServedPrediction,
};

/** Answers by the task of the model that is asked. */
interface ServedBy {
  classification: ServedPrediction;
  "multi-label": ServedLabels;
  regression: ServedNumbers;
}

/** What answers have by the task, and no others have. */
const ownKey = { classification: "label", "multi-label": "labels", regression: "values" } as const;

export interface AskOptions<T extends keyof ServedBy = "classification"> extends PredictOptions {
  /** What the model answers with (default "classification"); models() says it. */
  task?: T;
  signal?: AbortSignal;
}

/** An encoded image: the file as it is. */
export type ClientImage = Blob | ArrayBuffer | Uint8Array<ArrayBuffer>;

export interface ClientOptions {
  /** Bearer token of the server. */
  token?: string;
  /** Tries after an answer 503, as long after it as the server says (default 2). */
  retries?: number;
  /** In place of the global one. */
  fetch?: typeof fetch;
}

/** The server refused a request. */
export class ServerProblem extends Error {
  override readonly name = "ServerProblem";
  readonly problem: ProblemDetails;

  constructor(problem: ProblemDetails) {
    super(problem.detail);
    this.problem = problem;
  }
}

export interface Client {
  /** One image's prediction. @throws ServerProblem, also where the model's task is another */
  predict<T extends keyof ServedBy = "classification">(
    image: ClientImage,
    options?: AskOptions<T>,
  ): Promise<ServedBy[T]>;
  /** A prediction or a problem for each image, in order. @throws ServerProblem when the request is refused as a whole */
  predictEach<T extends keyof ServedBy = "classification">(
    images: readonly ClientImage[],
    options?: AskOptions<T>,
  ): Promise<(ServedBy[T] | ServedFailure)[]>;
  /** The models that are served. @throws ServerProblem */
  models(): Promise<ModelDescription[]>;
}

/**
 * A client of the server at an address.
 *
 * @example
 * const { label } = await connect("http://127.0.0.1:8080").predict(file, { k: 1 });
 * @example
 * const { values } = await connect("http://127.0.0.1:8080").predict(file, { task: "regression" });
 */
export function connect(url: string, { token, retries = 2, fetch: ask = fetch }: ClientOptions = {}): Client {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const request = async <T>(path: string, init: RequestInit): Promise<T> => {
    for (let left = retries; ; left--) {
      const response = await ask(new URL(path, url.endsWith("/") ? url : `${url}/`), init);
      if (response.ok) return (await response.json()) as T;
      if (response.status !== 503 || left <= 0) throw new ServerProblem(await problemOf(response));
      const seconds = Number(response.headers.get("retry-after")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      init.signal?.throwIfAborted();
    }
  };
  const post = async <T extends keyof ServedBy>(body: Blob | FormData, options: AskOptions<T>) => {
    const { signal, task = "classification", ...choices } = options;
    const given = Object.entries(choices).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]));
    const init = { method: "POST", body, headers, ...(signal ? { signal } : {}) };
    const { predictions } = await request<PredictAnswer>(`predict?${query}`, init);
    for (const one of predictions) if (!("problem" in one)) requireTask(one, task);
    return predictions as (ServedBy[T] | ServedFailure)[];
  };
  return {
    async predict(image, options = {}) {
      const [first] = await post(blobOf(image), options);
      if (!first || "problem" in first) throw new ServerProblem(first?.problem ?? unknownProblem(200));
      return first as never;
    },
    predictEach(images, options = {}) {
      const form = new FormData();
      for (const image of images) form.append("images", blobOf(image), "image");
      return post(form, options);
    },
    models: async () => (await request<{ models: ModelDescription[] }>("models", { headers })).models,
  };
}

function requireTask(answer: AnyServed, task: keyof ServedBy): void {
  if (ownKey[task] in answer) return;
  const own = (Object.keys(ownKey) as (keyof ServedBy)[]).find((kind) => ownKey[kind] in answer);
  const detail = `the model answers otherwise: ask it with the task "${own}"`;
  throw new ServerProblem({ ...unknownProblem(200), detail, code: "task" });
}

function blobOf(image: ClientImage): Blob {
  if (image instanceof Blob && image.type !== "") return image;
  return new Blob([image], { type: "application/octet-stream" });
}

async function problemOf(response: Response): Promise<ProblemDetails> {
  const known = (await response.json().catch(() => undefined)) as ProblemDetails | undefined;
  return known && "detail" in known ? known : unknownProblem(response.status);
}

function unknownProblem(status: number): ProblemDetails {
  return { type: "about:blank", title: "Unknown", status, detail: `the server answered ${status}`, code: "unknown" };
}
