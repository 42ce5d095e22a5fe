# What the scripts of the stack share. Sourced, never run.
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/versions"
cache="${DAYBOOK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/daybook}"
D="${D:-$here/../.stack}"

fail() { echo "stack: $*" >&2; exit 1; }

# need PROGRAM PACKAGE: installs Debian's package where the program is missing and we may.
need() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "$1 is missing: install $2"
    local log; log="$(mktemp)"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"; } >"$log" 2>&1 ||
        { tail -n 5 "$log" >&2; fail "$2 cannot be installed (all of it: $log)"; }
    rm -f "$log"
}

# maven ARGUMENTS...: one artifact that does not come at once is asked for anew: Maven itself remembers a failure and gives up.
maven() {
    local try
    for try in 1 2 3; do mvn -q -B -U "$@" && return; sleep "$try"; done
    return 1
}

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

# alive NAME: whether the process of D/NAME.pid runs.
alive() { [ -f "$D/$1.pid" ] && kill -0 "$(cat "$D/$1.pid")" 2>/dev/null; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local until=$((SECONDS + $1)) what="$2"; shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || fail "$what did not become ready; its log is in $D"
        sleep 0.1
    done
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# stop NAME [SIGNAL]: ends the process of D/NAME.pid and waits for it.
stop() {
    [ -f "$D/$1.pid" ] || return 0
    local pid; pid="$(cat "$D/$1.pid")"
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$D/$1.pid"
}
