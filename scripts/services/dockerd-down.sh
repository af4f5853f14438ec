#!/usr/bin/env bash
# Stops the Docker engine that dockerd-up.sh started. Its containers end, its images stay.
#
#   usage: dockerd-down.sh [--purge]   --purge removes all that an engine of its own has kept
#   DOCKERD_ROOT   as for dockerd-up.sh
set -euo pipefail
# shellcheck source=scripts/services/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

root=${DOCKERD_ROOT:-}
stop_by_pid_file "${root:-/run}/docker.pid" dockerd 30
if [ -n "$root" ] && [ "${1:-}" = --purge ]; then
    # The engine has mounted its data onto itself.
    umount --quiet "$root/data" || true
    rm -rf "$root" "$(docker_state "$root")"
fi
