#!/usr/bin/env bash
# Runs moto, which speaks the protocol of AWS, at 127.0.0.1. Jobs of AWS Batch run as containers of
# the Docker engine that `docker` talks to (dockerd-up.sh); the other services keep records only.
# Does nothing if one answers. All state is in memory.
#
#   MOTO_PORT     (5566)
#   MOTO_BIND     address to listen at (127.0.0.1)
#   MOTO_PYTHON   an interpreter with moto[server,batch] (that of this checkout's .venv)
#
# Clients need AWS_ENDPOINT_URL=http://127.0.0.1:5566, a region, and keys of any kind.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/lib.sh
. "$here/lib.sh"

port=${MOTO_PORT:-5566}
python=${MOTO_PYTHON:-$here/../../.venv/bin/python}
log=${TMPDIR:-/tmp}/torchx-moto.$port.log
pid_file=${TMPDIR:-/tmp}/torchx-moto.$port.pid

answers() { curl -fsS --max-time 5 "http://127.0.0.1:$port/moto-api/data.json" >/dev/null 2>&1; }

if answers; then
    say "already up at 127.0.0.1:$port"
    exit 0
fi
command -v curl >/dev/null || die "curl is missing"
"$python" -c 'import docker, flask, flask_cors, moto.server' 2>/dev/null ||
    die "$python has no moto[server,batch]; run scripts/setup, or set MOTO_PYTHON"
docker info >/dev/null 2>&1 || die "no Docker engine answers (run scripts/services/dockerd-up.sh)"

setsid nohup "$python" -m moto.server -H "${MOTO_BIND:-127.0.0.1}" -p "$port" >>"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$pid_file"
for ((tick = 0; tick < 300; tick++)); do
    if answers; then
        say "up at 127.0.0.1:$port (pid $pid, log: $log)"
        exit 0
    fi
    if ! kill -0 "$pid" 2>/dev/null; then
        tail -n 10 "$log" >&2
        rm -f "$pid_file"
        die "moto ended; see $log"
    fi
    sleep 0.2
done
die "moto did not answer within 60 s; see $log"
