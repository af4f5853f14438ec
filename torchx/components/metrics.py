"""Components that show the metrics of a training job."""

import torchx
import torchx.specs as specs


def tensorboard(
    logdir: str,
    image: str = torchx.IMAGE,
    timeout: float = 60 * 60,
    port: int = 6006,
    start_on_file: str = "",
    exit_on_file: str = "",
) -> specs.AppDef:
    """Runs a TensorBoard server for as long as a training job needs one.

    Args:
        logdir: where the metrics are
        image: image with torchx and tensorboard installed
        timeout: seconds after which the server ends
        port: port of the server
        start_on_file: start the server when this file exists, any URL that fsspec knows
        exit_on_file: end the server when this file exists, any URL that fsspec knows

    Returns:
        The job.
    """
    words = ["-m", "torchx.apps.utils.process_monitor", "--timeout", str(timeout)]
    words += ["--start_on_file", start_on_file, "--exit_on_file", exit_on_file]
    words += ["--", "tensorboard", "--bind_all", "--port", str(port), "--logdir", logdir]
    return specs.AppDef(
        name="tensorboard",
        roles=[
            specs.Role(
                name="tensorboard",
                image=image,
                entrypoint="python",
                args=words,
                port_map={"http": port},
            )
        ],
    )
