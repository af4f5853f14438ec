"""The tree of errors that torchx raises on purpose.

::

    Exception
    └── TorchXError                          carries a message, a hint and whether it is transient
        ├── InvalidAppError                  an app breaks the rules, all faults at once
        ├── InvalidRunConfigException        a run option is missing, unknown or of the wrong type
        │   └── MalformedRunConfigException  the text of a run option cannot be read
        ├── ConfigFileError                  a ``.torchxconfig`` cannot be read or used
        ├── UnregisteredSchedulerError       a configuration speaks of a scheduler that there is not
        ├── SchedulerParameterError          a ``TORCHX_*`` variable does not fit a scheduler
        ├── MalformedAppHandleException      text that is no ``scheduler://session/app_id``
        │   └── ShortHandleError             nor the beginning of the id of one remembered job
        ├── StoreError                       what is remembered of jobs cannot be read or written
        ├── RelaunchError                    a remembered job cannot be launched again as it was
        ├── UnknownSchedulerException        no scheduler is registered under that name
        ├── SchedulerUnavailableError        it is registered, but what it needs is not installed
        ├── UnknownAppException              the scheduler does not know that app (any more)
        ├── NoLogException                   the app has no such log
        ├── NoSuchReplicaError               the app has no such role or replica
        ├── AppStatusError                   the app did not succeed
        ├── WaitTimeoutError                 the app did not end in time
        ├── ComponentNotFoundException       no component has that name
        │   └── ComponentLoadException       its module cannot be imported
        ├── ConfFileNotFoundError            a component file does not exist
        ├── ComponentValidationException     a component breaks the rules for components
        ├── ComponentArgumentError           an argument does not fit the component
        ├── WorkspaceFileError               a notebook cell names no file of the workspace
        ├── PluginLoadError                  a plugin hangs, or tries to end the process
        ├── PluginRegistrationError          a plugin cannot be registered as its module asks for
        ├── PluginSourceError                ``TORCHX_PLUGINS_SOURCE`` has an illegal value
        ├── TrackerConfigError               the configuration of a tracker is missing or wrong
        ├── TrackerRootError                 the root directory of a tracker does not exist
        ├── TrackerChoiceError               no tracker is configured that could answer
        ├── WorkspaceError                   local code cannot be sent along; see ``transient``
        │   ├── WorkspaceNotFoundError       one of several projects does not exist
        │   ├── WorkspaceTooLargeError       it is more than the limit, and nobody said yes to that
        │   ├── JobDirExistsError            the job directory holds something else
        │   ├── JobDirParentError            the job directory has nowhere to be
        │   └── ImageRepoError               an image has to be pushed, but not known where to
        ├── WorkspaceBuildError              the image of a workspace could not be built
        ├── ImagePushError                   an image could not be pushed
        ├── KubernetesAppError               an app is not what a Kubernetes cluster takes
        ├── KubernetesAppTypeError           a part of it is of a type that cannot be sent
        ├── ClusterMountError                a mount is of what only a Kubernetes cluster has
        ├── JobStartError                    a back end accepted a job but could not start it
        ├── DockerPackageMissing             the Python package ``docker`` is not installed
        ├── AwsPackageMissing                the Python package ``boto3`` is not installed
        ├── AwsRequestError                  AWS would refuse a request, which is not sent
        ├── AppRefusedError                  AWS Batch cannot run such an app
        ├── BatchOptionError                 an option for AWS Batch makes no sense
        ├── TrainingJobError                 SageMaker cannot run such an app, or not in that way
        ├── NoSuchInstanceError              a training job has no such role or replica
        └── BackendError                     a back end failed to answer; see ``transient``
            ├── DockerEngineError            the Docker engine is away, or refuses
            ├── KubernetesError              the API server of a cluster refuses, or is away
            ├── LsfError                     a command of LSF failed
            ├── SlurmError                   a command of Slurm failed
            └── AwsError                     AWS refused, or did not answer
                ├── AwsLoginError            there are no credentials, or they have expired
                └── AwsAccessError           a permission is missing

Each is defined beside the code that raises it; this module holds the root and what several
back ends raise.
"""

from __future__ import annotations


class TorchXError(Exception):
    """The root of all errors that torchx raises on purpose.

    Args:
        message: One sentence for a person: what was wrong, naming the input.
        hint: What to do about it, or ``""``.
        transient: True if the same call may succeed later without any change.

    Attributes:
        hint: What to do about it, or ``""``.
        transient: True if the same call may succeed later without any change.
    """

    def __init__(self, message: str, *, hint: str = "", transient: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.transient = transient


class JobStartError(TorchXError):
    """A job was accepted but could not be started; nothing of it is left running."""


class BackendError(TorchXError):
    """A back end did not answer, or answered with a failure of its own."""
