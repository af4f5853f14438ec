from __future__ import annotations

import pytest
from kubernetes.client import ApiClient

from torchx.schedulers.kubernetes import models


def test_a_library_that_is_loaded_anew_gets_a_client_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Anew(ApiClient):  # type: ignore[misc] # the library has no types
        pass

    before = models._api_client()
    monkeypatch.setattr("kubernetes.client.ApiClient", Anew)
    assert isinstance(models._api_client(), Anew)
    monkeypatch.undo()
    assert type(models._api_client()) is type(before)
