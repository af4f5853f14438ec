from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import torchx
from torchx import version

PACKAGE = Path(torchx.__file__).parent


def test_version_is_the_content_of_the_packaged_file() -> None:
    assert torchx.__version__ == version.__version__ == version._version()
    assert torchx.__version__ == (PACKAGE / "version.txt").read_text().strip()


def test_default_image_has_the_version_as_tag() -> None:
    assert f"ghcr.io/pytorch/torchx:{torchx.__version__}" == torchx.IMAGE == version.TORCHX_IMAGE


def test_image_of_another_version() -> None:
    assert version._get_torchx_image("0.1.2") == "ghcr.io/pytorch/torchx:0.1.2"


@pytest.mark.parametrize("module", [torchx, version])
def test_unknown_attribute_is_an_attribute_error(module: object) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name  # type: ignore[attr-defined]  # the point of the test


def test_entry_point_decides_on_the_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "house.py").write_text("def image(version): return 'registry/house:' + version\n")
    metadata = tmp_path / "house-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: house\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[torchx.version]\nget_torchx_image = house:image\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert version._image() == f"registry/house:{torchx.__version__}"


def test_version_is_found_in_a_zipped_package(tmp_path: Path) -> None:
    archive = tmp_path / "torchx.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for name in ("__init__.py", "version.py", "version.txt"):
            zipped.write(PACKAGE / name, f"torchx/{name}")
    program = f"import sys; sys.path.insert(0, {str(archive)!r}); import torchx"
    program += "; print(torchx.__version__, torchx.__file__)"
    shown = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert shown.split() == [torchx.__version__, str(archive / "torchx" / "__init__.py")]


def test_importing_torchx_reads_nothing() -> None:
    program = (
        "import sys, torchx, torchx.version; print([m for m in sys.modules if 'metadata' in m])"
    )
    shown = subprocess.run(
        [sys.executable, "-S", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    ).stdout
    assert shown.strip() == "[]"
    assert "__version__" not in vars(importlib.import_module("torchx"))
