"""Writes the shell script that each instance runs where a plain command will not do.

It is needed to unpack code, to launch torchrun with what only the instance knows, and for words
and values that depend on the replica or are longer than SageMaker takes. It needs a POSIX shell,
and ``tar`` and ``gzip`` if there is code to unpack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torchx.schedulers.aws_sagemaker.options import CODE_CHANNEL
from torchx.schedulers.aws_sagemaker.request import REPLICA_MARK
from torchx.util.shell import quote

ML_DIR = "/opt/ml"
"""Where SageMaker puts all that it gives to a container."""

CODE_ARCHIVE = "code.tar.gz"
LAUNCH_SCRIPT = "launch.sh"

FAILURE_FILE = f"{ML_DIR}/output/failure"
"""What a program writes there becomes the reason why its job failed."""

_CHANNELS_DIR = f"{ML_DIR}/input/data"
_MASTER_PORT = 7777
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True)
class Launch:
    """What the script does.

    Attributes:
        words: The words to run.
        instance_count: Number of instances.
        with_torchrun: Have torchrun launch the words on all GPUs.
        unpacks: Unpack the code that was sent along.
        directory: Where the words run; ``None`` for the working directory of the image.
        env: Variables to set, since SageMaker does not take them.
        hyperparameters: Hyperparameters by name.
        channels: Names of the channels.
    """

    words: Sequence[str]
    instance_count: int = 1
    with_torchrun: bool = False
    unpacks: bool = False
    directory: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Sequence[str] = ()


def launch_script(launch: Launch) -> str:
    """Writes the script.

    Args:
        launch: What it does.

    Returns:
        A script for a POSIX shell.
    """
    parts = [_HEAD, _unpacking(launch), _variables(launch)]
    if launch.with_torchrun:
        parts += [_COUNT_PROCESSES, _torchrun(launch.instance_count)]
    parts += [_exports(launch.env), f"exec {_start(launch)}{_words(launch.words)}\n"]
    return "\n".join(part for part in parts if part)


def channel_dir(channel: str) -> str:
    """Names the directory that the objects of a channel are put into.

    Args:
        channel: Name of the channel.

    Returns:
        An absolute path.
    """
    return f"{_CHANNELS_DIR}/{channel}"


def _start(launch: Launch) -> str:
    return '"$@" ' if launch.with_torchrun else ""


def _words(words: Sequence[str]) -> str:
    return " ".join(map(_word, words))


def _word(text: str) -> str:
    return '"$replica"'.join(map(quote, text.split(REPLICA_MARK)))


def _exports(env: Mapping[str, str]) -> str:
    return "".join(f"export {name}={_word(value)}\n" for name, value in env.items())


def _unpacking(launch: Launch) -> str:
    if launch.directory is None:
        return ""
    directory = quote(launch.directory)
    lines = []
    if launch.unpacks:
        archive = quote(f"{channel_dir(CODE_CHANNEL)}/{CODE_ARCHIVE}")
        lines = [
            f"mkdir -p {directory} && tar -xzof {archive} -C {directory} ||",
            "    fail 'cannot unpack the code that was sent along'",
        ]
    lines.append(f"cd {directory} || fail 'there is no directory of code'")
    return "\n".join(lines) + "\n"


def _variables(launch: Launch) -> str:
    """Sets what programs written for SageMaker look at, unless the role has set it."""
    hosts = [f"algo-{number}" for number in range(1, launch.instance_count + 1)]
    values = {
        "SM_MODEL_DIR": f"{ML_DIR}/model",
        "SM_INPUT_DIR": f"{ML_DIR}/input",
        "SM_INPUT_CONFIG_DIR": f"{ML_DIR}/input/config",
        "SM_OUTPUT_DIR": f"{ML_DIR}/output",
        "SM_OUTPUT_DATA_DIR": f"{ML_DIR}/output/data",
        "SM_HOSTS": json.dumps(hosts),
        "SM_HOST_COUNT": str(launch.instance_count),
        "SM_MASTER_ADDR": hosts[0],
        "SM_MASTER_PORT": str(_MASTER_PORT),
        "SM_HPS": json.dumps(dict(launch.hyperparameters)),
        **{_name("SM_CHANNEL", name): channel_dir(name) for name in launch.channels},
        **{_name("SM_HP", name): value for name, value in launch.hyperparameters.items()},
    }
    lines = [
        f"default {name} {quote(value)}"
        for name, value in values.items()
        if _VARIABLE.fullmatch(name)
    ]
    return _KNOWN_TO_INSTANCE + "\n".join(lines) + "\n"


def _name(prefix: str, name: str) -> str:
    return f"{prefix}_{re.sub('[^A-Z0-9]', '_', name.upper())}"


def _torchrun(instance_count: int) -> str:
    meeting = ""
    if instance_count > 1:
        address = f'--master_addr="$SM_MASTER_ADDR" --master_port={_MASTER_PORT}'
        meeting = f' \\\n        {address} --node_rank="$replica"'
    return f"""\
if command -v torchrun > /dev/null; then
    set -- torchrun --nnodes={instance_count} --nproc_per_node="$processes"{meeting}
elif [ "$processes" = 1 ] && [ {instance_count} = 1 ]; then
    set -- "$(command -v python || echo python3)"
else
    fail 'the image has no torchrun, which a script needs on more than one GPU or instance'
fi
"""


_HEAD = f"""\
#!/bin/sh
# Written by torchx.
fail() {{
    echo "torchx: $1" >&2
    echo "$1" > {FAILURE_FILE}
    exit 127
}}
default() {{
    eval "[ -n \\"\\${{$1+x}}\\" ] || export $1=\\"\\$2\\""
}}
told() {{
    sed -n "s/.*\\"$1\\" *: *\\"\\([^\\"]*\\)\\".*/\\1/p" {ML_DIR}/input/config/resourceconfig.json
}}
host=$(told current_host)
number=${{host#algo-}}
number=${{number%%-*}}
case $number in
    '' | *[!0-9]*) fail "cannot tell the number of the host '$host'" ;;
esac
replica=$((number - 1))
"""

_KNOWN_TO_INSTANCE = """\
default SM_CURRENT_HOST "$host"
default SM_CURRENT_HOST_RANK "$replica"
default SM_CURRENT_INSTANCE_TYPE "$(told current_instance_type)"
default SM_NETWORK_INTERFACE_NAME "$(told network_interface_name)"
default SM_NUM_CPUS "$(nproc 2> /dev/null || echo 1)"
default SM_NUM_GPUS "$(nvidia-smi -L 2> /dev/null | grep -c '^GPU')"
default NCCL_SOCKET_IFNAME "$SM_NETWORK_INTERFACE_NAME"
"""

_COUNT_PROCESSES = """\
processes=$SM_NUM_GPUS
if [ "$processes" = 0 ]; then
    counted='s/.*"nc_count" *: *\\([0-9]*\\).*/\\1/p'
    for cores in $(neuron-ls -j 2> /dev/null | tr ',' '\\n' | sed -n "$counted"); do
        processes=$((processes + cores))
    done
fi
[ "$processes" -gt 0 ] || processes=1
"""
