#!/usr/bin/env bash
# Stops the server that moto-up.sh started.   MOTO_PORT (5566)
set -euo pipefail
# shellcheck source=scripts/services/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

port=${MOTO_PORT:-5566}
pid_file=${TMPDIR:-/tmp}/torchx-moto.$port.pid
name=$(cat "/proc/$(cat "$pid_file" 2>/dev/null || echo none)/comm" 2>/dev/null || echo python)
case $name in python*) stop_by_pid_file "$pid_file" "$name" 10 ;; *) rm -f "$pid_file" ;; esac
rm -f "$pid_file"
