from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.util.redact import (
    REDACTED,
    is_secret_name,
    redact_args,
    redact_env,
    redact_text,
    redact_value,
)


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "GHTOKEN",
        "TOKEN_1",
        "auth_tokens",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "WANDB_API_KEY",
        "apiKey",
        "APIKey",
        "KEY",
        "db-password",
        "--password",
        "PGPASSWORD",
        "client.secret",
        "SECRET_VALUE",
        "BASIC_AUTH",
        "SENTRY_DSN",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "PATH",
        "MONKEY",
        "key1",
        "keyboard",
        "HOTKEY_COLOR",
        "TOKENIZERS_PARALLELISM",
        "max_tokens",
        "NUM_TOKENS",
        "SSH_AUTH_SOCK",
        "PASSWORD_FILE",
        "AUTHOR",
        "job_id",
        "42",
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


def test_values_are_hidden_by_name_and_by_text() -> None:
    assert redact_env(
        {"HF_TOKEN": "hf_1", "EMPTY_TOKEN": "", "DB": "postgres://bob:pw@host/db", "N": "1"}
    ) == {
        "HF_TOKEN": REDACTED,
        "EMPTY_TOKEN": "",
        "DB": f"postgres://bob:{REDACTED}@host/db",
        "N": "1",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://bucket/key", "s3://bucket/key"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("amqp://u:p@ss@h", f"amqp://u:{REDACTED}@h"),
        ("redis://:pw@host:6379", f"redis://:{REDACTED}@host:6379"),
        (
            "see mysql://u:p@h and ftp://a:b@c",
            f"see mysql://u:{REDACTED}@h and ftp://a:{REDACTED}@c",
        ),
        ("https://h/?sig=1&token=abc&x=2", f"https://h/?sig=1&token={REDACTED}&x=2"),
        ("--lr=0.1 --api-key=abc", f"--lr=0.1 --api-key={REDACTED}"),
    ],
)
def test_secrets_in_text(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize("part", ["x", "x.", "a=", "://", "://a:", "://a:b", "a://", "x-="])
def test_a_long_text_is_read_in_linear_time(part: str) -> None:
    text = part * 100_000
    assert redact_text(f"{text} token=t").endswith(f"token={REDACTED}")


def test_an_argument_behind_a_secret_flag_is_hidden() -> None:
    assert redact_args(["--token", "abc", "--lr", "0.1", "--token", "--verbose", "--key=k"]) == [
        "--token",
        REDACTED,
        "--lr",
        "0.1",
        "--token",
        "--verbose",
        f"--key={REDACTED}",
    ]


@given(st.text(), st.text())
def test_any_text_is_accepted_and_hiding_is_stable(name: str, value: str) -> None:
    once = redact_value(name, value)
    assert redact_value(name, once) == once
    assert len(redact_args([name, value])) == 2
