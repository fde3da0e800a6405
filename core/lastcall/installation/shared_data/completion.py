"""Completions for the shells: scripts that ask the program at every key, and so know what plugins add."""

from collections.abc import Iterator

FOLDERS = {
    "bash": "usr/local/share/bash-completion/completions/lastcall",
    "zsh": "usr/local/share/zsh/site-functions/_lastcall",
    "fish": "usr/local/share/fish/vendor_completions.d/lastcall.fish",
}
# click has scripts of its own: in bash they take every name apart at its blanks, and in no shell a line break survives
# them. The word `complete` stands before what is being written, so that it is no command line for anybody.
_BASH = r"""# Completions of lastcall for bash, 4.4 or later.
_lastcall() {
    local line=${COMP_LINE:0:COMP_POINT}
    local -a reply
    mapfile -d '' -t reply < <(_LASTCALL_COMPLETE=bash _LASTCALL_LINE=$line "$1" complete 2>/dev/null)
    COMPREPLY=("${reply[@]:1}")
    case ${reply[0]-} in
        file) compopt -o default ;;
        open) compopt -o nospace ;;
    esac
}

complete -o nosort -F _lastcall lastcall
"""
_ZSH = r"""#compdef lastcall
# Completions of lastcall for zsh.
_lastcall() {
    local -a reply names shown typed
    local name text
    typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
    reply=("${(@0)$(_LASTCALL_COMPLETE=zsh ${words[1]} complete "${(@)typed}" 2>/dev/null)}")
    if [[ ${reply[1]} == file ]]; then
        _files
        return
    fi
    for name text in "${(@)reply[2,-2]}"; do
        names+=("$name")
        shown+=("$text")
    done
    (( $#names )) || return 1
    if [[ ${reply[1]} == open ]]; then
        compadd -V lastcall -S '' -l -d shown -a names
    else
        compadd -V lastcall -l -d shown -a names
    fi
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _lastcall "$@"
else
    compdef _lastcall lastcall
fi
"""
_FISH = r"""# Completions of lastcall for fish, 3.1 or later.
function __lastcall_complete
    set -l words (commandline -opc)
    set -l typed $words[2..-1] (commandline -ct)
    set -l reply (_LASTCALL_COMPLETE=fish $words[1] complete $typed 2>/dev/null | string split0)
    if test "$reply[1]" = file
        __fish_complete_path (commandline -ct) | string join0
    else
        printf '%s\0' $reply[2..-1]
    end
end

complete --command lastcall --no-files --keep-order --arguments '(__lastcall_complete | string split0)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def completions() -> Iterator[tuple[str, str]]:
    """(path below the root, text) for each shell."""
    yield from ((path, SCRIPTS[shell]) for shell, path in FOLDERS.items())
