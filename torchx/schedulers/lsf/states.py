"""What the words and numbers of LSF mean: states, exit codes and reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torchx.specs.api import AppState

JOB_STATE: dict[str, AppState] = {
    "DONE": AppState.SUCCEEDED,
    "EXIT": AppState.FAILED,
    "PEND": AppState.PENDING,
    "RUN": AppState.RUNNING,
    "PSUSP": AppState.PENDING,
    "USUSP": AppState.PENDING,
    "SSUSP": AppState.PENDING,
}
"""Word of LSF -> state. Any other word, such as ``UNKWN`` or ``ZOMBI``, is ``UNKNOWN``."""

STATE_TEXTS: Mapping[str, str] = {
    "PROV": "its host is being started",
    "PSUSP": "it is held; release it with `bresume`",
    "SSUSP": "LSF has suspended it: its host is busy, or a job of higher priority runs there",
    "UNKWN": "its host does not answer",
    "USUSP": "its owner has suspended it; let it go on with `bresume`",
    "WAIT": "it waits for other jobs of its chunk",
    "ZOMBI": "its host does not answer, and it was killed",
}
"""Word of LSF -> what it means for a person, where the state alone does not tell."""

CANCELLED_EXIT_CODE = "130"
"""Exit code of a job that ``bkill`` or an interrupt has ended."""

EXIT_TEXTS: Mapping[str, str] = {
    "125": "docker could not run the container",
    "126": "the program cannot be executed",
    "127": "the program was not found",
    "137": "killed by signal 9, possibly for its use of memory",
    "139": "segmentation fault",
    "140": "it reached its run limit",
    "143": "ended by signal 15",
}
"""Exit code -> what it usually means."""

ENDINGS: Mapping[str, tuple[AppState, str]] = {
    "TERM_ADMIN": (AppState.CANCELLED, "cancelled by an administrator"),
    "TERM_BUCKET_KILL": (AppState.CANCELLED, "cancelled"),
    "TERM_CHKPNT": (AppState.FAILED, "it was ended after a checkpoint"),
    "TERM_CPULIMIT": (AppState.FAILED, "it reached its limit of CPU time"),
    "TERM_CSM_ALLOC": (AppState.FAILED, "its hosts could not be allocated"),
    "TERM_CWD_NOTEXIST": (AppState.FAILED, "its working directory does not exist on its host"),
    "TERM_DEADLINE": (AppState.FAILED, "it could not end before its deadline"),
    "TERM_EXTERNAL_SIGNAL": (AppState.FAILED, "ended by a signal that did not come from LSF"),
    "TERM_FORCE_ADMIN": (AppState.CANCELLED, "cancelled by an administrator"),
    "TERM_FORCE_OWNER": (AppState.CANCELLED, "cancelled"),
    "TERM_LOAD": (AppState.FAILED, "its host was overloaded"),
    "TERM_MC_RECALL": (AppState.FAILED, "its own cluster took it back"),
    "TERM_MEMLIMIT": (AppState.FAILED, "it used more memory than allowed; ask for more"),
    "TERM_ORPHAN_SYSTEM": (AppState.FAILED, "the job that it depends on ended too early"),
    "TERM_OTHER": (AppState.FAILED, "LSF does not tell why it has ended"),
    "TERM_OWNER": (AppState.CANCELLED, "cancelled"),
    "TERM_PREEMPT": (AppState.FAILED, "a job of higher priority took its place"),
    "TERM_PRE_EXEC_FAIL": (AppState.FAILED, "its pre-execution command failed"),
    "TERM_PROCESSLIMIT": (AppState.FAILED, "it started more processes than allowed"),
    "TERM_REMOVE_HUNG_JOB": (AppState.FAILED, "LSF took it for hung and removed it"),
    "TERM_REQUEUE_ADMIN": (AppState.FAILED, "an administrator requeued it"),
    "TERM_REQUEUE_OWNER": (AppState.FAILED, "its owner requeued it"),
    "TERM_RMS": (AppState.FAILED, "the resource manager ended it"),
    "TERM_RUNLIMIT": (AppState.FAILED, "it reached its run limit"),
    "TERM_SWAP": (AppState.FAILED, "it used more swap space than allowed"),
    "TERM_THREADLIMIT": (AppState.FAILED, "it started more threads than allowed"),
    "TERM_UNKNOWN": (AppState.FAILED, "LSF does not know why it has ended"),
    "TERM_WINDOW": (AppState.FAILED, "the run window of its queue was closed"),
    "TERM_ZOMBIE": (AppState.FAILED, "its host did not answer any more"),
}
"""Word of LSF why a job has ended -> state, and the same for a person."""

PENDING_REASONS: Mapping[str, str] = {
    "dependency condition invalid or never satisfied": "the job that it depends on did not start,"
    " so it will never start: cancel it",
    "job dependency condition not satisfied": "it waits for the first replica to start",
    "new job is waiting for scheduling": "it has just been submitted",
    "requeued job is waiting for rescheduling": "it was requeued",
    "job has been requeued": "it was requeued",
    "the queue is inactivated by the administrator": "its queue is inactive",
    "the queue is inactivated by its time windows": "its queue is outside of its time windows",
    "the queue has not enough job slots": "its queue runs as many jobs as it may",
    "the queue has reached its job slot limit": "its queue runs as many jobs as it may",
    "the user has reached his/her job slot limit": "the user runs as many jobs as allowed",
    "the job was suspended by the user while pending": "it is held; release it with `bresume`",
    "the job was suspended by lsf admin or root while pending": "an administrator holds it",
    "not enough hosts to meet the job's spanning requirement": "no host has enough free slots",
    "job's resource requirements not satisfied": "no host has what it asks for",
    "job requirements for reserving resource": "no host has free what it asks for",
    "not specified in job submission": "the host that it is bound to is not free",
    "load information unavailable": "its hosts do not tell their load",
    "closed by lsf administrator": "its hosts are closed",
    "job slot limit reached": "its hosts are full",
}
"""Begin of why a job waits, in small letters -> the same for a person."""

# From what is still to come to what is over: the first that any job is in counts.
_BY_WEIGHT = (
    AppState.RUNNING,
    AppState.PENDING,
    AppState.UNKNOWN,
    AppState.FAILED,
    AppState.CANCELLED,
    AppState.SUCCEEDED,
)


def get_job_state(state_str: str, exit_code: str) -> AppState:
    """Translates the state of one job.

    Args:
        state_str: Word of LSF.
        exit_code: Exit code as LSF prints it.

    Returns:
        The state; ``UNKNOWN`` for any other word.
    """
    state = JOB_STATE.get(state_str, AppState.UNKNOWN)
    if state == AppState.FAILED and exit_code == CANCELLED_EXIT_CODE:
        return AppState.CANCELLED
    return state


def combined_state(states: Iterable[AppState]) -> AppState:
    """Tells the state of an app by those of its jobs, whatever their order.

    Args:
        states: The states of the jobs.

    Returns:
        Running if any runs, else pending if any waits, else unknown if any is, else failed if any
        failed, else cancelled if any was, else succeeded; unknown if there are none.
    """
    found = set(states)
    return next((state for state in _BY_WEIGHT if state in found), AppState.UNKNOWN)


def explain_pending(reason: str) -> str:
    """Says for a person why a job waits.

    Args:
        reason: What LSF says, such as ``New job is waiting for scheduling: 1 host;``.

    Returns:
        A sentence without its end; what LSF says if nothing better is known.
    """
    lowered = reason.strip().lower()
    for start, text in PENDING_REASONS.items():
        if lowered.startswith(start):
            return text
    return reason.strip().rstrip(";.")


def explain_exit(exit_code: str, reason: str) -> str:
    """Says for a person how a job has ended.

    Args:
        exit_code: Exit code as LSF prints it, or ``""``.
        reason: What LSF says, such as ``TERM_OWNER: job killed by owner``, or ``""``.

    Returns:
        A sentence without its end.
    """
    ending = ENDINGS.get(reason.partition(":")[0].strip())
    code = exit_code.strip("-")
    number = f"exit code {code}" if code else ""
    text = ending[1] if ending is not None else reason or EXIT_TEXTS.get(code, "")
    return f"{number} ({text})" if number and text else number or text or "no exit code is known"
