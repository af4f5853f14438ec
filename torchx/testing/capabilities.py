"""What a back end may lack without being wrong."""

from __future__ import annotations

from enum import Enum


class Capability(Enum):
    """Something that not every back end can do.

    A harness names the missing ones with the reason. The value says what is meant.
    """

    CANCEL_PENDING = "an app can be kept waiting for resources, and cancelled while it waits"
    CANCELLED_LOG = "the log of a cancelled app can be read after its end"
    DELETE = "a deleted app is forgotten"
    DESCRIBE_ROLES = "another process is told the roles of an app and their numbers of replicas"
    ERROR_FILE = "the error file that a replica writes reaches the status of its app"
    EXIT_CODE = "the message of a failed app tells the exit code"
    FOLLOW_LOGS = "a log can be followed while the app runs"
    JOB_OUTLIVES_LAUNCHER = "an app goes on when the process that launched it is killed"
    LIST = "apps can be listed"
    LOG_TIME_RANGE = "a log can be limited to what was written since or until a moment"
    MOUNTS = "a directory of the test can be bind mounted into replicas"
    RANK0_HOST = "replicas can reach the first replica of the first role by its host name"
    REPLICA_STATUS = "the status of an app tells the state of each replica"
    RETRY_APPLICATION = "a failed replica restarts the whole app"
    RETRY_REPLICA = "a failed replica restarts alone"
    RETRY_ROLE = "a failed replica restarts all replicas of its role"
    SECOND_PROCESS = "a process other than the launcher can watch and cancel an app"
    SEPARATE_STREAMS = "standard output and standard error can be read one without the other"
    SHARED_DIRECTORY = "replicas and tests see a common directory (`SchedulerHarness.shared_dir`)"
    WORKSPACE = "a local directory can be sent along with an app"
