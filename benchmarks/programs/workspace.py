"""Times the second submit of an unchanged workspace: ``workspace.py FILES FILE_BYTES``.

The files are made, and submitted for the first time, when this runs for the first time in its home
directory. It needs a Docker engine, and leaves images named ``torchx-benchmark`` there.
"""

import io
import os
import sys
import tarfile
import time
from pathlib import Path

import docker

from torchx.specs import Role
from torchx.workspace.docker_workspace import DockerWorkspaceMixin

FILES_PER_DIRECTORY = 100
BASE = "torchx-benchmark:base"

files, file_bytes = int(sys.argv[1]), int(sys.argv[2])
root = Path.home() / "workspace"
client = docker.from_env()
mixin = DockerWorkspaceMixin(docker_client=client)


def submit() -> None:
    role = Role(name="r", image=BASE)
    mixin.build_workspace_and_update_role(
        role, str(root), {"quiet": True, "image_repo": "torchx-benchmark"}
    )


if not root.exists():
    for number in range(files):
        path = root / f"package{number // FILES_PER_DIRECTORY}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(file_bytes))
    if not client.images.list(BASE):
        archive = io.BytesIO()
        tarfile.open(fileobj=archive, mode="w").close()
        repository, _, tag = BASE.partition(":")
        client.api.import_image_from_data(archive.getvalue(), repository=repository, tag=tag)
    submit()
start_s = time.perf_counter()
submit()
print(time.perf_counter() - start_s)
client.close()
