"""Completion in bash, zsh and fish: click's machinery, with scripts that know colons, quotes and commas.

Each script hands over the line up to the cursor, and gets a type and a value a line, the value being the
whole word that would stand there. That is more than click's own scripts do: bash begins a word anew at each
``:`` and ``=``, which addresses and ``--option=VALUE`` are full of.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string

from synguard.observe.text import printable

#: click looks for what to do in this variable of the environment: ``bash_complete``, ``bash_source``.
VARIABLE = "_SYNGUARD_COMPLETE"

#: Stands where the cursor is, so that an empty last word is one, too.
_CURSOR = "\0"

_BASH = r"""
_synguard() {
    local line=${COMP_LINE:0:COMP_POINT} breaks=$COMP_WORDBREAKS quoted='' type value
    # Behind an open quote nothing breaks a word, and nothing needs another quote.
    [[ ${line##* } != [\'\"]* ]] || breaks='' quoted=yes
    COMPREPLY=()
    while IFS=$'\t' read -r type value; do
        case $type in
            plain)
                [[ $quoted ]] || printf -v value '%%q' "$value"
                COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
        esac
    done < <(COMP_LINE="$line" COMP_BREAKS="$breaks" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F _synguard %(prog_name)s
"""

_ZSH = r"""
#compdef %(prog_name)s
_synguard() {
    local -a plain described lines
    local line type value words_of_it
    lines=("${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" \
        %(complete_var)s=zsh_complete ${~words[1]} 2>/dev/null)}")
    for line in $lines; do
        type=${line%%%%$'\t'*} value=${${line#*$'\t'}%%%%$'\t'*} words_of_it=${line##*$'\t'}
        case $type in
            plain)
                if [[ -n $words_of_it ]]; then
                    described+=("${value//:/\\:}:$words_of_it")
                else
                    plain+=("$value")
                fi ;;
            file) [[ $PREFIX != --*=* ]] || compset -P 1 '*='; _files ;;
            dir) [[ $PREFIX != --*=* ]] || compset -P 1 '*='; _files -/ ;;
        esac
    done
    (( ! $#described )) || _describe -V 'synguard' described
    (( ! $#plain )) || compadd -V synguard -a plain
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _synguard "$@"
else
    compdef _synguard %(prog_name)s
fi
"""

_FISH = r"""
function __synguard_complete
    set -l program (commandline -opc)[1]
    set -lx COMP_LINE (commandline -cp | string collect)
    set -lx %(complete_var)s fish_complete
    for line in ($program 2>/dev/null)
        set -l parts (string split -m 2 \t -- $line)
        set -l path (string replace -r '^--[^=]*=' '' -- $parts[2])
        set -l before (string replace -r '^(--[^=]*=)?.*' '$1' -- $parts[2])
        switch $parts[1]
            case plain
                printf '%%s\t%%s\n' $parts[2] $parts[3]
            case file
                for found in (__fish_complete_path $path)
                    echo $before$found
                end
            case dir
                for found in (__fish_complete_directories $path)
                    echo $before$found
                end
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(__synguard_complete)'
"""


class _Shell(ShellComplete):
    """What the shells have in common."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and that."""
        words = split_arg_string(os.environ.get("COMP_LINE", "") + _CURSOR)
        return words[1:-1], words[-1].removesuffix(_CURSOR) if len(words) > 1 else ""

    def complete(self) -> str:
        """Return a line for each thing to offer: its type, the word as it would stand, what it is."""
        args, incomplete = self.get_completion_args()
        option, is_joined, _ = incomplete.partition("=")
        before = f"{option}=" if is_joined and option.startswith("--") else ""
        offered = self.get_completions(args, incomplete)
        return "\n".join(self.line(item, before, incomplete) for item in offered)

    def line(self, item: CompletionItem[Any], before: str, _incomplete: str) -> str:
        """Return one of those lines; ``before`` is what of the word belongs to an option's name."""
        words = " ".join(printable(item.help or "").split())
        return f"{item.type}\t{before}{printable(str(item.value))}\t{words}"


class Bash(_Shell):
    """bash 4.4 and newer."""

    name: ClassVar[str] = "bash"
    source_template: ClassVar[str] = _BASH.lstrip()

    def line(self, item: CompletionItem[Any], before: str, incomplete: str) -> str:
        """Return the line without what of the word stands before what bash takes for the word."""
        value = before + printable(str(item.value))
        breaks = [place for place, letter in enumerate(incomplete) if letter in _breaks()]
        return f"{item.type}\t{value[breaks[-1] + 1 if breaks else 0 :]}"


class Zsh(_Shell):
    """zsh 5 and newer."""

    name: ClassVar[str] = "zsh"
    source_template: ClassVar[str] = _ZSH.lstrip()


class Fish(_Shell):
    """fish 3.1 and newer."""

    name: ClassVar[str] = "fish"
    source_template: ClassVar[str] = _FISH.lstrip()


SHELLS: Mapping[str, type[_Shell]] = {shell.name: shell for shell in (Bash, Zsh, Fish)}


def _breaks() -> str:
    """Return which of ``:`` and ``=`` begin a new word in this bash."""
    return "".join(letter for letter in ":=" if letter in os.environ.get("COMP_BREAKS", ":="))


def register() -> None:
    """Have click use these instead of its own."""
    for shell in SHELLS.values():
        add_completion_class(shell)
