/** Who may ask: a bearer token, and how many requests of one address run at a time. */
import { createHash, timingSafeEqual } from "node:crypto";
import { Problem } from "./problem.ts";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** A check of Authorization headers; it takes as long for a wrong token as for the right one. */
export function tokenCheck(token: string): (authorization: string | undefined) => void {
  const wanted = digest(token);
  return (authorization) => {
    const [, given = ""] = /^Bearer +(\S+) *$/i.exec(authorization ?? "") ?? [];
    if (timingSafeEqual(digest(given), wanted)) return;
    throw new Problem(401, "unauthorized", "the bearer token is missing or wrong: send Authorization: Bearer TOKEN", {
      field: "authorization",
    });
  };
}

/** Counts the requests of each address. */
export class ClientLimit {
  readonly #most: number;
  readonly #open = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Lets a request in. @returns a function that lets it out again @throws Problem 429 */
  enter(address: string): () => void {
    const count = this.#open.get(address) ?? 0;
    if (count >= this.#most) {
      const detail = `${count} requests of this address are not answered yet, at most ${this.#most}: wait for some of them`;
      throw new Problem(429, "too-many-requests", detail, { retryAfter: 1 });
    }
    this.#open.set(address, count + 1);
    return () => {
      const left = (this.#open.get(address) ?? 1) - 1;
      if (left > 0) this.#open.set(address, left);
      else this.#open.delete(address);
    };
  }
}
