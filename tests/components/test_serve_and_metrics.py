"""serve.torchserve and metrics.tensorboard."""

import torchx
from torchx import specs
from torchx.components import metrics, serve


def test_torchserve() -> None:
    app = serve.torchserve("s3://m", "http://h", params={"initial_workers": 1}, dryrun=True)
    words = ["-m", "torchx.apps.serve.serve", "--model_path", "s3://m"]
    words += ["--management_api", "http://h", "--initial_workers", "1", "--dryrun"]
    role = specs.Role(
        name="worker",
        image=torchx.IMAGE,
        entrypoint="python",
        args=words,
        port_map={"model-download": 8222},
        resource=specs.Resource(cpu=1, gpu=0, memMB=1024),
    )
    assert app == specs.AppDef("torchx-torchserve", [role])


def test_tensorboard() -> None:
    app = metrics.tensorboard("/logs", timeout=60.0, exit_on_file="/logs/done")
    words = ["-m", "torchx.apps.utils.process_monitor", "--timeout", "60.0"]
    words += ["--start_on_file", "", "--exit_on_file", "/logs/done", "--"]
    words += ["tensorboard", "--bind_all", "--port", "6006", "--logdir", "/logs"]
    role = specs.Role(
        name="tensorboard",
        image=torchx.IMAGE,
        entrypoint="python",
        args=words,
        port_map={"http": 6006},
    )
    assert app == specs.AppDef("tensorboard", [role])
