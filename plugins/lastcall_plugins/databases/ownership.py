"""Whose server it is that a client is sent to: a shell's functions, for the scripts that start one.

Anybody in a guest may listen where a server would, as long as that does not run: in /tmp, say, or on its port. Whoever
does gets the password, and answers what he likes. So a client is started only where the server's own user, or root,
listens: $OWNER.
"""

# Asked by number: of a server in a container, no name is known here. A folder that everybody may write to is safe if
# its sticky bit keeps others from putting something else in the socket's place.
OWN = r"""
own_id=$(id -u "$OWNER" 2> /dev/null || echo "$OWNER")
foreign() { echo "$1 cannot be the server's: it is that of user $2, and not of $OWNER" >&2; exit 1; }
own() { case $1 in 0|"$own_id") ;; *) foreign "$2" "$1" ;; esac; }
own_socket() {
    [ -S "$1" ] || { echo "there is no socket ${1:-of the server}" >&2; exit 1; }
    own "$(stat -c %u "$1")" "the socket $1"
    folder=${1%/*}
    own "$(stat -c %u "$folder/")" "the folder $folder"
    case $(stat -c %a "$folder/") in
        [1357]???) ;;
        *[2367]) foreign "the folder $folder, which everybody may write to," any ;;
    esac
}
own_port() {
    port=$(printf ':%04X' "$1")
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -e "$table" ] || continue
        while read -r _ local _ state _ _ _ uid _; do
            case $state$local in 0A*"$port") own "$uid" "port $1" ;; esac
        done < "$table"
    done
}
"""
