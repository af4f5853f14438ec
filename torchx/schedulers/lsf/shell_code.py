"""The fixed parts of the submit script and of the text of each job."""

from __future__ import annotations

END_OF_JOB = "TORCHX_END_OF_JOB"
"""Line behind which a here-document ends; lengthened where the document holds it."""

SUBMIT = r"""
torchx_ids=()
torchx_submit() {  # ROLE REPLICA OPTION...: submits standard input, or undoes all and gives up
    local who="$1/$2" said code=0
    shift 2
    if [ -e "$torchx_state/cancelled" ]; then torchx_give_up "$who" 130 'the app was cancelled'; fi
    said=$({ printf '%s' "$torchx_begin"; cat; printf '%s' "$torchx_end"; } | bsub "$@" 2>&1) ||
        code=$?
    if [ "$code" -eq 0 ] && [[ $said =~ Job\ \<([0-9]+)\>\ is\ submitted ]]; then
        torchx_ids+=("${BASH_REMATCH[1]}")
    else
        torchx_give_up "$who" "$code" "$said"
    fi
}

torchx_give_up() {  # WHO CODE REASON
    printf 'torchx: refused %s: exit code %s: %s\n' "$1" "$2" "$3"
    if [ "${#torchx_ids[@]}" -gt 0 ]; then
        # Of jobs that ended meanwhile bkill complains.
        printf 'torchx: killed: %s\n' "$(bkill "${torchx_ids[@]}" 2>&1)"
    fi
    exit "$(($2 ? $2 : 1))"
}
"""
"""Defines ``torchx_submit`` for bash. Needs ``torchx_state``, ``_begin`` and ``_end``."""

BEGIN_JOB = r"""#!/bin/sh
torchx_note() { echo "$*" >>"$torchx_state/notes/$torchx_job"; }

torchx_exit() {
    torchx_note "end $1"
    [ -z "$torchx_private" ] || rm -rf "$torchx_private"
    trap - EXIT
    exit "$1"
}

torchx_stop() {
    docker stop -t 5 "$torchx_job" >/dev/null 2>&1 || kill -TERM "$torchx_pid" 2>/dev/null
}

torchx_interrupt() {  # the job is ended from outside
    trap '' HUP INT TERM
    [ -z "$torchx_watcher" ] || kill "$torchx_watcher" 2>/dev/null
    if [ -n "$torchx_pid" ]; then
        torchx_stop
        wait "$torchx_pid"
        docker rm -f "$torchx_job" >/dev/null 2>&1
    fi
    torchx_exit 130
}

torchx_is_over() { [ -e "$torchx_state/rounds/$torchx_group.$torchx_round" ]; }

torchx_may_go_on() { [ "$(cat "$torchx_state/rounds/$torchx_group.$torchx_round")" = again ]; }

torchx_watch() {  # ends the program when another replica of the group has failed
    trap 'exit 0' TERM
    until torchx_is_over; do sleep 1; done
    torchx_stop
}

torchx_attempt() {
    # A container of an attempt that was killed may still have the name.
    docker rm -f "$torchx_job" >/dev/null 2>&1
    torchx_run "$@" &
    torchx_pid=$! torchx_watcher=''
    if [ "$torchx_members" -gt 1 ]; then torchx_watch & torchx_watcher=$!; fi
    wait "$torchx_pid"
    torchx_code=$? torchx_pid=''
    [ -z "$torchx_watcher" ] || kill "$torchx_watcher" 2>/dev/null
    torchx_watcher=''
}

torchx_await_group() {  # a replica that may have to run again waits for the others
    : >"$torchx_state/rounds/$torchx_group.$torchx_round.$torchx_job.ok"
    until torchx_is_over; do
        set -- "$torchx_state/rounds/$torchx_group.$torchx_round."*.ok
        [ "$#" -lt "$torchx_members" ] || return 0
        sleep 1
    done
}

torchx_fail() {  # the first failure in a round decides for the whole group
    mkdir "$torchx_state/rounds/$torchx_group.$torchx_round.decided" 2>/dev/null || return 0
    set -- "$torchx_state/rounds/$torchx_group.$torchx_round"
    if [ "$torchx_round" -lt "$torchx_retries" ]; then echo again; else echo end; fi >"$1.new"
    mv "$1.new" "$1"
    torchx_may_go_on || torchx_exit "$torchx_code"
    torchx_note restart
    echo "torchx: exit code $torchx_code, starting again" >&2
}

torchx_main() {
    trap torchx_interrupt HUP INT TERM
    while :; do
        while torchx_is_over; do
            torchx_may_go_on || torchx_exit 130
            torchx_round=$((torchx_round + 1))
        done
        [ ! -e "$torchx_state/cancelled" ] || torchx_exit 130
        torchx_attempt "$@"
        if [ "$torchx_code" -ne 0 ]; then
            torchx_fail
            until torchx_is_over; do sleep 1; done
        else
            [ "$torchx_most_retries" -le "$torchx_round" ] || torchx_await_group
            torchx_is_over || torchx_exit 0
        fi
    done
}

torchx_round=0 torchx_pid='' torchx_watcher='' torchx_private=''
torchx_gpus=all
[ -z "${CUDA_VISIBLE_DEVICES:-}" ] || torchx_gpus="\"device=$CUDA_VISIBLE_DEVICES\""
"""
"""Begin of the text of each job, for any POSIX shell.

What follows sets ``torchx_job``, ``torchx_state``, ``torchx_logs``, ``torchx_group``,
``torchx_members``, ``torchx_retries`` and ``torchx_most_retries``, and defines ``torchx_run``,
which takes further options of docker and runs the program.
"""

END_JOB = r"""
[ ! -d "$torchx_logs" ] || exec >>"$torchx_logs/$torchx_job.out" 2>>"$torchx_logs/$torchx_job.err"
set --
if [ -d "$torchx_state/errors" ]; then
    echo "${LSB_HOSTS%% *}" >"$torchx_state/hosts/$torchx_job"
    rm -f "$torchx_state/errors/$torchx_job"
    case $torchx_state in
    *:*) ;;  # docker would take a part of the path for another one
    *) set -- -v "$torchx_state/errors:$torchx_state/errors:rw" \
        -e "TORCHELASTIC_ERROR_FILE=$torchx_state/errors/$torchx_job" ;;
    esac
else
    # A host that does not share the directory: this replica is on its own.
    torchx_private=$(mktemp -d) || exit
    torchx_state=$torchx_private torchx_members=1
    mkdir "$torchx_state/rounds" "$torchx_state/notes"
fi
torchx_main "$@"
"""
"""End of the text of each job."""
