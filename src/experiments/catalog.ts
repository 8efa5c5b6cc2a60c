/** Names of the experiments and a line about each, for the command line: this file imports nothing, so help is quick. */

export const experimentSummaries = {
  "same-architecture": "every method on five networks of one architecture, Zoo-Tuning among them",
  "mixed-hub": "every method on a hub of several architectures (or on --hub, with --data)",
  cost: "accuracy against FLOPs, parameters, training and measured seconds; run mixed-hub first",
  ablation: "Hub-Pathway with one part or choice changed at a time",
  "rival-weights": "values of the rivals' own weights, to choose on validation data",
  ranking: "do transferability scores predict the accuracy of fine-tuned members?",
  "label-budget": "the main methods with 10, 30, 100 and 300 labels a class",
  router: "synthetic hubs whose best routes are known: regret, specialisation and collapse of the generator",
  routing: "what routes that depend on the input can win, and what they do win",
  paper: "five ResNet-50 on seven published data sets, for those who have them; says what is missing",
  "rl-transfer": "Hub-Pathway over agents of three games, against scratch, fine-tuning and distillation in two others",
  "rl-games": "what PPO and DQN reach alone in CartPole and the MinAtar games",
} as const;
