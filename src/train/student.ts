/** Student's t distribution. */
/** Probability that Student's t is farther from zero than `t` on either side (Abramowitz & Stegun, 26.7.3 and 26.7.4). */
export function studentTails(t: number, degrees: number): number {
  const angle = Math.atan(Math.abs(t) / Math.sqrt(degrees));
  const isOdd = degrees % 2 === 1;
  const square = Math.cos(angle) ** 2;
  let [sum, term] = [0, isOdd ? Math.cos(angle) : 1];
  for (let i = isOdd ? 1 : 0; i < degrees - 1; i += 2) {
    sum += term;
    term *= (square * (i + 1)) / (i + 2);
  }
  const within = isOdd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
  return Math.max(0, 1 - within);
}

/** Value that Student's t is below with a probability of more than a half, by whole degrees of freedom. */
export function studentQuantile(probability: number, degrees: number): number {
  const tails = 2 * (1 - probability);
  let [low, high] = [0, 1];
  while (studentTails(high, degrees) > tails) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (studentTails(middle, degrees) > tails) low = middle;
    else high = middle;
  }
  return high;
}
