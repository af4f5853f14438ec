"""Components that bring a trained model into a model server."""

import torchx
import torchx.specs as specs


def torchserve(
    model_path: str,
    management_api: str,
    image: str = torchx.IMAGE,
    params: dict[str, object] | None = None,
    dryrun: bool = False,
) -> specs.AppDef:
    """Registers a model with a running TorchServe server.

    The job downloads the model and serves it to the server under a name of its own until the
    server has answered.

    Args:
        model_path: where the model archive is, any URL that fsspec knows
        management_api: URL of the server's management API, e.g. http://host:8081
        image: image with torchx installed
        params: options of the registration, e.g. model_name=m,initial_workers=1
        dryrun: start the program but register nothing

    Returns:
        The job.
    """
    words = ["-m", "torchx.apps.serve.serve"]
    words += ["--model_path", model_path, "--management_api", management_api]
    for name, value in (params or {}).items():
        words += [f"--{name}", str(value)]
    if dryrun:
        words.append("--dryrun")
    return specs.AppDef(
        name="torchx-torchserve",
        roles=[
            specs.Role(
                name="worker",
                image=image,
                entrypoint="python",
                args=words,
                port_map={"model-download": 8222},
                resource=specs.Resource(cpu=1, gpu=0, memMB=1024),
            )
        ],
    )
