#!/usr/bin/env bash
# Runs an image registry at 127.0.0.1, without TLS and passwords, which Docker accepts there.
# Does nothing if one answers.
#
#   REGISTRY_PORT   (5000)
#   REGISTRY_DATA   where images are kept (/var/lib/torchx-registry)
set -euo pipefail
# shellcheck source=scripts/services/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

port=${REGISTRY_PORT:-5000}
data=${REGISTRY_DATA:-/var/lib/torchx-registry}
log=/var/log/torchx-registry.$port.log

answers() { [ "$(curl -fsS --max-time 5 "http://127.0.0.1:$port/v2/" 2>/dev/null)" = "{}" ]; }

if answers; then
    say "already up at 127.0.0.1:$port"
    exit 0
fi
need_root
apt_install docker-registry curl

mkdir -p "$data"
cat >"$data/config.yml" <<YAML
version: 0.1
log: {level: info}
storage:
  filesystem: {rootdirectory: $data}
  delete: {enabled: true}
http:
  addr: 127.0.0.1:$port
YAML

setsid nohup docker-registry serve "$data/config.yml" >>"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"/run/torchx-registry.$port.pid"
for ((tick = 0; tick < 100; tick++)); do
    if answers; then
        say "up at 127.0.0.1:$port (pid $pid)"
        exit 0
    fi
    if ! kill -0 "$pid" 2>/dev/null; then
        tail -n 10 "$log" >&2
        die "the registry ended; see $log"
    fi
    sleep 0.1
done
die "the registry did not answer within 10 s; see $log"
