"""Prepares the images for training: every pixel gets the mean 0 and the spread 1.

Run it as a job, whose run then has an artifact ``digits`` for the jobs that train on it::

    torchx run -s local_cwd utils.python -m torchx.examples.digits.preprocess -- \
        --output /data/digits.pt
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from torchx.examples.digits.data import read_raw, write_file
from torchx.tracker import app_run_from_env

_LEAST_SPREAD = 0.1  # pixels at the border are nearly always white


def main(argv: Sequence[str] | None = None) -> None:
    """Prepares the images and writes them.

    Args:
        argv: Arguments without the program's name; by default those of this process.

    Raises:
        OSError: The file cannot be written.
    """
    parser = argparse.ArgumentParser(description="Prepares images of digits for training.")
    parser.add_argument("--output", required=True, help="path or URL of the file to write")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    images, digits = read_raw()
    spread = images.std(dim=0).clamp(min=_LEAST_SPREAD)
    write_file(args.output, (images - images.mean(dim=0)) / spread, digits)
    print(f"prepared {len(images)} images: {args.output}")
    run = app_run_from_env()
    run.add_metadata(images=len(images))
    run.add_artifact("digits", args.output, {"images": len(images)})


if __name__ == "__main__":
    main()
