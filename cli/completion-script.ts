/**
 * `fazt completion SHELL`: a few lines for the shell's start file. They ask `fazt __complete`, so
 * that what is offered is always what this very program knows. Pure.
 */

const bash = `# fazt completion for bash: eval "$(fazt completion bash)"
_fazt() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done \\
        < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
    else
      COMPREPLY+=("\${line%%$'\\t'*}")
    fi
  done < <(fazt __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _fazt fazt
`;

const zsh = `#compdef fazt
# fazt completion for zsh: source <(fazt completion zsh)
_fazt() {
  local line
  local -a found
  for line in "\${(@f)$(fazt __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == :files ]]; then
      _files
    elif [[ -n $line ]]; then
      found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( \${#found} )) && _describe fazt found
}
if [[ $funcstack[1] == _fazt ]]; then _fazt "$@"; else compdef _fazt fazt; fi
`;

const fish = `# fazt completion for fish: fazt completion fish | source
function __fazt_complete
  set -l words (commandline -opc)
  set -l last (commandline -ct)
  for line in (fazt __complete -- $words[2..-1] "$last" 2>/dev/null)
    if test "$line" = :files
      __fish_complete_path "$last"
    else
      echo $line
    end
  end
end
complete -c fazt -f -a '(__fazt_complete)'
`;

/** The script of each shell. */
export const completionScripts: Readonly<Record<string, string>> = { bash, zsh, fish };
