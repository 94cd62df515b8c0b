/**
 * Completion scripts. They hold no command and no flag: each asks the executable (`__complete`), so that a script never
 * tells of another version than the one installed.
 */
export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

export function completionScript(shell: Shell): string {
  return scripts[shell];
}

/*
 * Bash breaks words at `:` and `=` (COMP_WORDBREAKS), and an image name has colons: the line is split again at blanks
 * only, and what bash takes for already typed is cut from the answers.
 */
const bash = `# bash completion for vitrine
_vitrine() {
  local line="\${COMP_LINE:0:COMP_POINT}" current words answer directive value
  read -r -a words <<<"$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  current="\${words[\${#words[@]}-1]}"
  COMPREPLY=()
  answer="$("\${words[0]}" __complete "\${words[@]:1}" 2>/dev/null)" || return
  directive="\${answer##*:}"
  while IFS=$'\\t' read -r value _; do
    [[ "$value" == :* ]] || COMPREPLY+=("$value")
  done <<<"$answer"
  case "$directive" in
    files) compopt -o filenames; while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "\${current#*=}") ;;
    directories) compopt -o filenames; while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -d -- "\${current#*=}") ;;
    *)
      local typed="\${current%"\${current##*[:=]}"}" index
      if [[ -n "$typed" ]]; then
        for index in "\${!COMPREPLY[@]}"; do COMPREPLY[index]="\${COMPREPLY[index]#"$typed"}"; done
      fi ;;
  esac
  [[ \${#COMPREPLY[@]} -eq 1 && "\${COMPREPLY[0]}" == *= ]] && compopt -o nospace
  return 0
}
complete -F _vitrine vitrine
`;

const zsh = `#compdef vitrine
# zsh completion for vitrine
_vitrine() {
  local -a lines candidates
  local line directive value description
  lines=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  directive="\${lines[-1]#:}"
  for line in "\${(@)lines[1,-2]}"; do
    value="\${line%%$'\\t'*}"
    description="\${line#*$'\\t'}"
    value="\${value//:/\\\\:}"
    if [[ "$line" == *$'\\t'* ]]; then candidates+=("$value:$description"); else candidates+=("$value"); fi
  done
  (( \${#candidates} )) && _describe -V 'vitrine' candidates
  case "$directive" in
    files) compset -P '*='; _files ;;
    directories) compset -P '*='; _files -/ ;;
  esac
}
if [[ "$funcstack[1]" == _vitrine ]]; then _vitrine "$@"; else compdef _vitrine vitrine; fi
`;

const fish = `# fish completion for vitrine
function __vitrine_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] 2>/dev/null)
    set -l current (commandline -ct)
    set -l flag (string match -r '^--[^=]*=' -- $current)
    set -l path (string replace -r '^--[^=]*=' '' -- $current)
    for line in $lines
        switch $line
            case ':files'
                for found in (__fish_complete_path $path)
                    echo "$flag$found"
                end
            case ':directories'
                for found in (__fish_complete_directories $path)
                    echo "$flag$found"
                end
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete -c vitrine -f -a '(__vitrine_complete)'
`;

const scripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };
