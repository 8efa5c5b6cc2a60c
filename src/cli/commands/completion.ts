/** Options of `hub-pathway completion`. */
import { Argument, type Command } from "commander";
import { completionScript, type Shell, shells } from "../completion.ts";

const help = `
Examples:
  hub-pathway completion bash > ~/.local/share/bash-completion/completions/hub-pathway
  hub-pathway completion zsh >> ~/.zshrc
  hub-pathway completion fish > ~/.config/fish/completions/hub-pathway.fish`;

export function addCompletionCommand(program: Command): void {
  program
    .command("completion")
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .description("print a script that completes command lines in a shell")
    .addHelpText("after", help)
    .action((shell: Shell) => {
      process.stdout.write(completionScript(program, shell));
    });
}
