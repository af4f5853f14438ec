"""``torchx completion``."""

from __future__ import annotations

import argparse

from torchx.cli.cmd_base import SubCommand

_BASH = r"""# Completion of torchx for bash: eval "$(torchx completion bash)"
_torchx() {
    local line program="${1/#\~/$HOME}" typed="${COMP_LINE:0:$COMP_POINT}"
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <("$program" __complete bash "$typed" "$COMP_WORDBREAKS" 2>/dev/null)
    case ${COMPREPLY[0]-} in
        *[=,/:]) compopt -o nospace ;;
    esac
}
complete -o bashdefault -o default -F _torchx torchx
"""

_ZSH = r"""#compdef torchx
# Completion of torchx for zsh: eval "$(torchx completion zsh)", behind compinit
_torchx() {
    local line program="${(Q)words[1]/#\~/$HOME}"
    local -a typed values texts open_values open_texts
    typed=("${(@Q)words[2,CURRENT]}")
    for line in "${(@f)$("$program" __complete zsh "${typed[@]}" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        if [[ ${line%%$'\t'*} == *[=,/:] ]]; then
            open_values+=("${line%%$'\t'*}") open_texts+=("${line/$'\t'/  -- }")
        else
            values+=("${line%%$'\t'*}") texts+=("${line/$'\t'/  -- }")
        fi
    done
    if (( ! $#values && ! $#open_values )); then
        _files
        return
    fi
    (( $#values )) && compadd -l -d texts -- "${values[@]}"
    (( $#open_values )) && compadd -l -S '' -d open_texts -- "${open_values[@]}"
    return 0
}
if [[ ${funcstack[1]} == _torchx ]]; then
    _torchx "$@"
else
    compdef _torchx torchx
fi
"""

_FISH = r"""# Completion of torchx for fish: torchx completion fish | source
function __torchx_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($words[1] __complete fish $words[2..-1] "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete -c torchx -f -a '(__torchx_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""The script of each shell."""


class CmdCompletion(SubCommand):
    """Prints a script that completes torchx command lines in your shell."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        subparser.add_argument(
            "shell",
            choices=list(SCRIPTS),
            help='your shell; in ~/.bashrc: eval "$(torchx completion bash)", in ~/.zshrc:'
            ' eval "$(torchx completion zsh)", in ~/.config/fish/config.fish:'
            " torchx completion fish | source",
        )

    def run(self, args: argparse.Namespace) -> None:
        """Prints the script.

        Args:
            args: ``shell``.
        """
        print(SCRIPTS[args.shell], end="")
