"""The fixed parts of the batch script: what runs on the first node, and around each replica."""

from __future__ import annotations

VALUE_PREFIX = "TORCHX__V"
"""Begin of the names under which the batch script hands values on to the replicas."""

BEGIN_REPLICA = """
torchx__n=$(($1 + SLURM_PROCID)) torchx__odd=()
torchx__at() { torchx__name=$1_$torchx__k; torchx__value=${!torchx__name}; }
"""
"""Begin of what each replica runs. Its argument is the number of the first replica of its step."""

END_REPLICA = rf"""
exec >>"$torchx__log.out" 2>>"$torchx__log.err" || exit
if [ -n "$TORCHX_STATE_DIR" ]; then
    {{ echo "$SLURMD_NODENAME" >"$TORCHX_STATE_DIR/hosts/$torchx__n"; }} 2>/dev/null || :
    export TORCHELASTIC_ERROR_FILE=$TORCHX_STATE_DIR/errors/$torchx__n.json
fi
torchx__env
[ "${{#torchx__odd[@]}}" -eq 0 ] || set -- env -- "${{torchx__odd[@]}}" "$@"
unset "${{!{VALUE_PREFIX}@}}" TORCHX__START TORCHX__APP_ID TORCHX__RANK0
[ "$torchx__retries" -gt 0 ] || exec "$@"
trap "torchx__retries=0" TERM INT
trap : HUP USR1 USR2
until "$@"; do
    torchx__code=$?
    [ "$torchx__retries" -gt 0 ] || exit "$torchx__code"
    torchx__retries=$((torchx__retries - 1))
    [ -z "$TORCHX_STATE_DIR" ] || echo "restart replica" >>"$TORCHX_STATE_DIR/events"
    echo "torchx: exit code $torchx__code, starting again" >&2
done
"""
"""End of what each replica runs: it becomes its program, or starts that again as allowed.

What comes in between sets ``torchx__log``, ``torchx__retries`` and the positional parameters, and
defines ``torchx__env``, which exports the variables of the role, or collects those that a shell
cannot export in ``torchx__odd``.
"""

RUN_STEPS = r"""
torchx_note() { [ -z "$TORCHX_STATE_DIR" ] || echo "$*" >>"$TORCHX_STATE_DIR/events" || :; }

torchx_wait() {  # PID: sets torchx_code; signals that a trap takes do not end the wait
    while :; do
        torchx_woken='' torchx_code=0
        wait "$1" || torchx_code=$?
        [ -n "$torchx_woken" ] || return 0
    done
}

torchx_keep() {  # STEP: runs it, again after a failure as often as its own policy allows
    local left=${torchx_own_retries[$1]} pid=''
    trap 'torchx_woken=1 left=0; kill -TERM $pid 2>/dev/null || :' TERM
    trap 'torchx_woken=1; kill -USR1 $pid 2>/dev/null || :' USR1
    trap - EXIT
    while :; do
        "torchx_step_$1" {torchx_bell}>&- &
        pid=$!
        torchx_wait "$pid"
        [ "$torchx_code" -ne 0 ] || break
        [ "$left" -gt 0 ] || break
        left=$((left - 1))
        torchx_note "restart step $1"
        echo "torchx: step $1: exit code $torchx_code, starting it again" >&2
    done
    if [ "$torchx_code" -eq 0 ]; then : >"$torchx_dir/ok-$1"
    else echo "$torchx_code" >"$torchx_dir/bad-$1"; fi
    echo >&"$torchx_bell"
    exit "$torchx_code"
}

torchx_listen() {  # sets torchx_said to the first error that srun printed since SIZE
    torchx_said=''
    [ -f "/proc/$$/fd/2" ] || return 0
    torchx_said=$(tail -c "+$(($1 + 1))" "/proc/$$/fd/2" | sed -n 's/^srun: error: //p' | head -n 1)
}

torchx_goes_on() {  # whether all steps that have ended succeeded, and some have not ended
    local ended
    ended=$(ls "$torchx_dir")
    case $ended in *bad-*) return 1 ;; esac
    [ "$(grep -c ok- <<<"$ended")" -lt "${#torchx_pids[@]}" ] && [ -n "$(jobs -pr)" ]
}

torchx_attempt() {  # runs all steps; sets torchx_failed to the first that failed, or to nothing
    local step size
    size=$(stat -L -c %s "/proc/$$/fd/2" 2>/dev/null) || size=0
    rm -f "$torchx_dir"/*
    torchx_failed='' torchx_pids=()
    for step in "${!torchx_own_retries[@]}"; do
        torchx_keep "$step" &
        torchx_pids+=($!)
    done
    # Not by `wait -n`, which does not see a step that has ended just before it is called.
    while torchx_goes_on; do read -r -t 1 -u "$torchx_bell" || :; done
    kill -TERM "${torchx_pids[@]}" 2>/dev/null || :
    while [ -n "$(jobs -pr)" ]; do wait || :; done
    torchx_listen "$size"
    # srun may call it a success when it loses a node.
    case $torchx_said in *"Node failure"*) rm -f "$torchx_dir"/ok-*; torchx_lost_node=1 ;; esac
    for step in "${!torchx_own_retries[@]}"; do
        # A step that says nothing was killed.
        [ -e "$torchx_dir/ok-$step" ] || torchx_failed=$step torchx_code=137
    done
    [ -n "$torchx_failed" ] || return 0
    [ -z "$torchx_said" ] || torchx_note "said $torchx_said"
    step=$(ls -tr "$torchx_dir" | grep -m 1 bad || :)
    [ -z "$step" ] || torchx_failed=${step#bad-} torchx_code=$(cat "$torchx_dir/$step")
}

torchx_warn() {
    torchx_warned=1
    kill -USR1 "${torchx_pids[@]}" 2>/dev/null || :
}

torchx_requeue() {
    torchx_note "requeue $1"
    trap - EXIT
    scontrol requeue "$SLURM_JOB_ID"
    exit "$torchx_code"
}

torchx_main() {
    torchx_dir=$(mktemp -d) torchx_warned='' torchx_lost_node='' torchx_code=1
    trap 'torchx_note "end $torchx_code"; rm -rf "$torchx_dir"' EXIT
    mkfifo "$torchx_dir/bell"
    exec {torchx_bell}<>"$torchx_dir/bell"
    trap torchx_warn USR1
    local count=${SLURM_RESTART_COUNT:-0}
    torchx_note "start $count"
    if [ "$count" -gt "$torchx_requeues" ]; then
        echo "torchx: started again by Slurm $count times, allowed: $torchx_requeues" >&2
        exit 1
    fi
    if [ -n "$TORCHX_STATE_DIR" ] && [ -e "$TORCHX_STATE_DIR/events" ]; then
        count=$((count + $(grep -c '^restart app' "$TORCHX_STATE_DIR/events" || :)))
    fi
    while :; do
        torchx_attempt
        [ -n "$torchx_failed" ] || break
        # Slurm itself starts the job again, if that is allowed.
        [ -z "$torchx_lost_node" ] || exit "$torchx_code"
        if [ -n "$torchx_warned" ] && [ "$count" -lt "$torchx_requeues" ]; then
            torchx_requeue "before the time limit"
        fi
        [ "$count" -lt "${torchx_app_retries[$torchx_failed]}" ] || exit "$torchx_code"
        count=$((count + 1))
        torchx_note "restart app"
        echo "torchx: exit code $torchx_code, starting all again" >&2
        [ -z "$TORCHX_STATE_DIR" ] || rm -f "$TORCHX_STATE_DIR"/errors/*
    done
    torchx_code=0
}

torchx_main
"""
"""Runs the steps ``torchx_step_0``... and starts them again by their policies.

Needs ``torchx_own_retries`` and ``torchx_app_retries``, the retries of each step alone and of the
whole app after it failed, and ``torchx_requeues``, how often Slurm may start the job again.
"""
