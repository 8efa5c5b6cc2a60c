/**
 * How long a batch waits for more rows: longer while waiting pays, not at all while it does not (this project's choice, after
 * the adaptive windows of inference servers). A lone row never waits.
 */
const smallest = 0.25;

export class BatchWindow {
  readonly #largest: number;
  #ms = 0;
  /** Time and size of the last batch that was sent before it was full. */
  #partial: number | undefined;

  /** @param largest milliseconds */
  constructor(largest: number) {
    this.#largest = largest;
  }

  /** Milliseconds to wait when `rows` are there. */
  waitFor(rows: number): number {
    return rows < 2 ? 0 : this.#ms;
  }

  /** A batch waited, and got more rows or none. */
  waited(gained: boolean): void {
    if (gained) this.#grow();
    else this.#ms = this.#ms / 2 < smallest ? 0 : this.#ms / 2;
  }

  /** A batch was sent. */
  sent(isFull: boolean, now: number): void {
    this.#partial = isFull ? undefined : now;
  }

  /** A row came: had the last batch waited, it would have been in it. */
  arrived(now: number): void {
    if (this.#partial !== undefined && now - this.#partial < this.#largest) this.#grow();
    this.#partial = undefined;
  }

  #grow(): void {
    this.#ms = Math.min(this.#largest, Math.max(smallest, this.#ms * 1.5));
  }
}
