from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.util.redact import (
    REDACTED,
    is_secret_name,
    redact_args,
    redact_env,
    redact_source,
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


@pytest.mark.parametrize(
    "text",
    [
        'API_KEY = "s3cr3t"',
        "+    password: 's3cr3t'",
        '  "auth_token": "s3cr3t",',
        'os.environ["HF_TOKEN"] = "s3cr3t"',
        "token: s3cr3t0s3cr3t0s3cr3t",
        "x = hf_s3cr3t0s3cr3t0s3cr3t",
        "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cr3t\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\ns3cr3t",
        "see http://me:s3cr3t@host",
    ],
)
def test_secrets_in_source_code_are_hidden(text: str) -> None:
    shown = redact_source(text)
    assert "s3cr3t" not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    "text",
    [
        "self.tokens = tokens",
        "def f(token: str) -> None:",
        "max_tokens = 2048",
        'key = get("name")',
    ],
)
def test_code_that_handles_secrets_stays_readable(text: str) -> None:
    assert redact_source(text) == text


def test_hiding_secrets_in_source_code_takes_linear_time() -> None:
    for text in ("a" * 300_000, "a = " * 70_000, 'token="' * 40_000, "a.b-" * 70_000 + "="):
        redact_source(text)
