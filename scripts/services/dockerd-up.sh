#!/usr/bin/env bash
# Brings up a Docker engine on this machine, without an init system. Does nothing if one answers.
#
#   DOCKERD_ROOT   a directory: an engine of its own with all its state there, for tests that stop or
#                  kill it. It listens at $DOCKERD_ROOT/docker.sock and has no network but `none`.
#                  By default the engine that `docker` talks to, at /run/docker.sock.
#   DOCKERD_FLAGS  more flags for dockerd
set -euo pipefail
# shellcheck source=scripts/services/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

root=${DOCKERD_ROOT:-}
if [ -n "$root" ]; then
    mkdir -p "$root"
    socket=$root/docker.sock pid_file=$root/docker.pid log=$root/dockerd.log state=$root/exec
    # In a network namespace of its own: an engine without a bridge removes that of the other one.
    command=(unshare --net dockerd --host "unix://$socket" --data-root "$root/data" --exec-root "$state"
        --bridge none --iptables=false --ip6tables=false --ip-forward=false)
else
    socket=/run/docker.sock pid_file=/run/docker.pid log=/var/log/dockerd.log state=/run/docker
    command=(dockerd)
fi

answers() { curl -fsS --max-time 5 --unix-socket "$socket" http://localhost/_ping >/dev/null 2>&1; }

if answers; then
    say "already up at $socket"
    exit 0
fi
need_root
apt_install docker.io iptables iproute2 curl

# Containers need the controllers of cgroups, which an init system would have mounted.
if ! grep -qE ' cgroup2? ' /proc/mounts; then
    say "mounting cgroup v2"
    mkdir -p /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
fi

# Files left by a killed engine may name processes that are something else by now, or zombies.
forget() {
    if [ -e "$1" ] && ! runs "$(cat "$1")" "$2"; then
        rm -f "$1"
    fi
}
forget "$pid_file" dockerd
forget "$state/containerd/containerd.pid" containerd
if [ ! -e "$pid_file" ]; then
    # Containers must not send larger packets than the uplink takes.
    device=$(ip -o route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n1)
    mtu=$(cat "/sys/class/net/${device:-none}/mtu" 2>/dev/null || echo 1500)
    say "starting dockerd (log: $log)"
    # shellcheck disable=SC2086 # the flags are several words
    setsid nohup "${command[@]}" --pidfile "$pid_file" --mtu "$mtu" ${DOCKERD_FLAGS:-} \
        >>"$log" 2>&1 </dev/null &
    started=$!
fi

for ((tick = 0; tick < 300; tick++)); do
    if answers; then
        say "up at $socket: $(docker --host "unix://$socket" version --format 'Docker {{.Server.Version}}')"
        exit 0
    fi
    if [ -n "${started:-}" ] && ! kill -0 "$started" 2>/dev/null; then
        tail -n 15 "$log" >&2
        die "dockerd ended; see $log"
    fi
    sleep 0.2
done
tail -n 15 "$log" >&2
die "dockerd did not answer at $socket within 60 s"
