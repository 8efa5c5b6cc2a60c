/** A set-up step that cannot go on: what was looked for, where, and the one command that mends it. */
export class SetupFailure extends Error {
  /** @param {string} message @param {{ lookedFor?: string, where?: string, command?: string, final?: boolean }} details */
  constructor(message, { lookedFor, where, command, final = false } = {}) {
    super(message);
    this.lookedFor = lookedFor;
    this.where = where;
    this.command = command;
    /** Another libtorch would not help. */
    this.final = final;
  }

  toString() {
    const rows = [
      ["looked for", this.lookedFor],
      ["where", this.where],
      ["mend it with", this.command],
    ].filter(([, value]) => value !== undefined);
    return [
      `hub-pathway setup: ${this.message}`,
      ...rows.map(([label, value]) => `  ${label.padEnd(13)}${value}`),
    ].join("\n");
  }

  toJSON() {
    return { message: this.message, lookedFor: this.lookedFor, where: this.where, command: this.command };
  }
}
