#!/usr/bin/env bash
# Stops the registry that registry-up.sh started; its images stay.
#
#   REGISTRY_PORT   (5000)
set -euo pipefail
# shellcheck source=scripts/services/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stop_by_pid_file "/run/torchx-registry.${REGISTRY_PORT:-5000}.pid" docker-registry 10
