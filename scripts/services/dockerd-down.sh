#!/usr/bin/env bash
# Stops the Docker engine that dockerd-up.sh started. Its containers end, its images stay.
#
#   DOCKERD_ROOT   as for dockerd-up.sh
set -euo pipefail
# shellcheck source=scripts/services/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

root=${DOCKERD_ROOT:-}
stop_by_pid_file "${root:-/run}/docker.pid" dockerd 30
if [ -n "$root" ]; then
    # The engine has mounted it onto itself, so that it cannot be removed.
    umount --quiet "$root/data" || true
fi
