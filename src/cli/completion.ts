/** Completion for shells, made from the commands and options that there are. */
import type { Command, Option } from "commander";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** A command with its words after the program's name: `hub add`. */
interface Entry {
  path: string;
  summary: string;
  subcommands: readonly { name: string; summary: string }[];
  options: readonly { flag: string; summary: string; choices: readonly string[] }[];
}

function entries(command: Command, path = ""): Entry[] {
  const own: Entry = {
    path,
    summary: oneLine(command.description()),
    subcommands: command.commands.map((sub) => ({ name: sub.name(), summary: oneLine(sub.description()) })),
    options: command.options.filter((option) => !option.hidden).map(entryOf),
  };
  return [own, ...command.commands.flatMap((sub) => entries(sub, `${path} ${sub.name()}`.trim()))];
}

function entryOf(option: Option): Entry["options"][number] {
  const [, listed = ""] = /: ([\w-]+(?:, [\w-]+)+)(?: \(|$)/.exec(option.description) ?? [];
  const choices = option.argChoices ?? (listed === "" ? [] : listed.split(", "));
  return { flag: option.long ?? "", summary: oneLine(option.description), choices };
}

/** Without what a shell's own quoting would act on. */
const oneLine = (text: string): string => text.replaceAll(/['"`\\$:[\]]/g, "").replaceAll(/\s+/g, " ");

/** A script that completes the program's command line in a shell. */
export function completionScript(program: Command, shell: Shell): string {
  const all = entries(program);
  if (shell === "fish") return fish(all, program.name());
  const bash = bashScript(all, program.name());
  return shell === "bash" ? bash : `autoload -U +X bashcompinit && bashcompinit\n${bash}`;
}

function bashScript(all: readonly Entry[], name: string): string {
  const cases = all.map(({ path, subcommands, options }) => {
    const words = [...subcommands.map((sub) => sub.name), ...options.map(({ flag }) => flag)].join(" ");
    return `    '${path}') words='${words}' ;;`;
  });
  const choices = all.flatMap(({ path, options }) =>
    options
      .filter((option) => option.choices.length > 0)
      .map((option) => `    '${path} ${option.flag}') words='${option.choices.join(" ")}' ;;`),
  );
  const paths = all.map(({ path }) => path).filter((path) => path !== "");
  return `_hub_pathway() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path='' word words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
    ${paths.map((path) => `'${path}'`).join("|")}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  case "$path $previous" in
${choices.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ $current != -* ]] && COMPREPLY+=($(compgen -f -- "$current"))
}
complete -o filenames -F _hub_pathway ${name}
`;
}

function fish(all: readonly Entry[], name: string): string {
  const lines = all.flatMap(({ path, subcommands, options }) => {
    const words = path === "" ? [] : path.split(" ");
    const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
    const without = subcommands.map((sub) => sub.name).join(" ");
    const first = path === "" ? "__fish_use_subcommand" : `${seen}; and not __fish_seen_subcommand_from ${without}`;
    return [
      ...subcommands.map((sub) => `complete -c ${name} -f -n '${first}' -a ${sub.name} -d '${sub.summary}'`),
      ...options.map(({ flag, summary, choices }) => {
        const when = path === "" ? "" : ` -n '${seen}'`;
        const values = choices.length > 0 ? ` -x -a '${choices.join(" ")}'` : "";
        return `complete -c ${name}${when} -l ${flag.replace(/^--/, "")}${values} -d '${summary}'`;
      }),
    ];
  });
  return `${lines.join("\n")}\n`;
}
