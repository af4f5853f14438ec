# Shared by the scripts that start and stop the services of tests. Sourced, not run.
# shellcheck shell=bash

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "error: $*"; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "must be run as root"; }

# apt_install PACKAGE...: installs what is missing, waiting for other users of apt.
apt_install() {
    local missing=() package try
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    for try in 1 2 3 4 5; do
        if DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
            install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1; then
            return 0
        fi
        say "apt-get failed (try $try), refreshing its index"
        sleep 2
        apt-get -qq update || true
    done
    die "could not install ${missing[*]}"
}

# runs PID NAME: is there such a process? A zombie is none.
runs() {
    [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] || return 1
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) && [[ ${stat##*) } != Z* ]]
}

# stop_by_pid_file FILE NAME SECONDS: ends the process named by the file, if it runs.
stop_by_pid_file() {
    local pid tick
    pid=$(cat "$1" 2>/dev/null || true)
    if [ -z "$pid" ] || ! runs "$pid" "$2"; then
        rm -f "$1"
        say "not running"
        return 0
    fi
    kill "$pid"
    for ((tick = 0; tick < $3 * 5; tick++)); do
        if ! runs "$pid" "$2"; then
            rm -f "$1"
            say "stopped (pid $pid)"
            return 0
        fi
        sleep 0.2
    done
    die "$2 (pid $pid) still runs $3 s after SIGTERM"
}
