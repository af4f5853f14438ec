"""Turns what AWS Batch says about a job into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_OUT_OF_MEMORY = re.compile(r"OutOfMemory", re.IGNORECASE)
_EXIT_CODE_OF_SIGNAL = 128

_SENTENCES: Mapping[re.Pattern[str], str] = {
    re.compile(pattern, re.IGNORECASE): sentence
    for pattern, sentence in {
        r"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": "waits for capacity: AWS has no free instance"
        " of these types now; allow more instance types or zones in the compute environment",
        r"MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": "cannot start: it asks for more than"
        " the compute environment may ever have; raise its maxvCpus, or ask for less",
        r"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": "cannot start: no instance type of the"
        " compute environment is large enough; ask for less, or allow larger instance types",
        r"MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS": "cannot start: the service role of the"
        " compute environment lacks permissions",
        r"MISCONFIGURATION": "cannot start: the queue or its compute environment is set up wrong",
        r"ACTION_REQUIRED": "cannot start before somebody acts on its compute environment",
        r"Host EC2.*terminated": "lost its host, which was terminated or reclaimed (Spot);"
        " retry_on=host tries again",
        r"Job attempt duration exceeded timeout": "was ended because it ran longer than its time"
        " limit",
        r"CannotPull\w*Error|CannotPullContainer": "could not pull its image: check the name, and"
        " the rights of execution_role_arn",
        r"ResourceInitializationError": "could not be set up: the network, a secret, a volume or"
        " the log group is out of reach",
        r"CannotStartContainerError": "could not start its program",
        r"Dependent Job failed": "was not started, because a job that it depends on has failed",
    }.items()
}
# What AWS says of every container that has ended, whatever the reason.
_SAYS_NOTHING = re.compile(r"Essential container in task exited.*", re.IGNORECASE)


def explain(job: Mapping[str, Any]) -> str:
    """Explains the state of a job.

    Args:
        job: Description of a job, or of a node of it.

    Returns:
        A text for a person, or ``""`` if there is nothing to say.
    """
    parts = [*_reason_sentences(job), *_exit_sentences(job)]
    return "; ".join(dict.fromkeys(parts))


def exit_code_of(job: Mapping[str, Any]) -> int | None:
    """Reads the exit code of the last attempt.

    Args:
        job: Description or summary of a job, or of a node.

    Returns:
        The code, if it is known.
    """
    attempts = job.get("attempts") or [{}]
    for source in (job.get("container"), attempts[-1].get("container")):
        code = (source or {}).get("exitCode")
        if isinstance(code, int):
            return code
    return None


def _reason_sentences(job: Mapping[str, Any]) -> Iterator[str]:
    for text in _reasons(job):
        sentence = next(
            (said for pattern, said in _SENTENCES.items() if pattern.search(text)), None
        )
        if sentence is not None:
            yield f"{sentence} ({text})"
        elif not _SAYS_NOTHING.fullmatch(text):
            yield text


def _reasons(job: Mapping[str, Any]) -> Iterator[str]:
    attempts = job.get("attempts") or [{}]
    sources = (
        job.get("statusReason"),
        (job.get("container") or {}).get("reason"),
        attempts[-1].get("statusReason"),
        (attempts[-1].get("container") or {}).get("reason"),
    )
    yield from dict.fromkeys(" ".join(str(text).split()) for text in sources if text)


def _exit_sentences(job: Mapping[str, Any]) -> Iterator[str]:
    code = exit_code_of(job)
    if not code:
        return
    if any(_OUT_OF_MEMORY.search(text) for text in _reasons(job)):
        yield f"exit code {code}: it used more memory than it had asked for"
    elif code > _EXIT_CODE_OF_SIGNAL:
        yield f"exit code {code} (signal {code - _EXIT_CODE_OF_SIGNAL})"
    else:
        yield f"exit code {code}"
