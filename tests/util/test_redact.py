from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.specs import AppState, RetryPolicy
from torchx.util.redact import (
    REDACTED,
    is_secret_name,
    redact_args,
    redact_data,
    redact_env,
    redact_source,
    redact_text,
    redact_value,
    remember_secrets,
    secrets_in,
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
        "image_secret",
        "imagePullSecrets",
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
        ("https://0123456789abcdef0123@sentry.io/1", f"https://{REDACTED}@sentry.io/1"),
        ("git+ssh://git@github.com/a", "git+ssh://git@github.com/a"),
        (
            "https://b.s3/o?X-Amz-Expires=60&X-Amz-Signature=0123456789abcdef",
            f"https://b.s3/o?X-Amz-Expires=60&X-Amz-Signature={REDACTED}",
        ),
        ("sh -c 'train --password hunter2 --lr 1'", f"sh -c 'train --password {REDACTED} --lr 1'"),
        ("['--token', 'a b', '--lr']", f"['--token', '{REDACTED}', '--lr']"),
        ("args:\n  - --token\n  - abc\n  - x", f"args:\n  - --token\n  - {REDACTED}\n  - x"),
        ("password='a b' lr=1", f"password='{REDACTED}' lr=1"),
        ('{"password": "a b", "lr": "1"}', f'{{"password": "{REDACTED}", "lr": "1"}}'),
        ("{'api_key': 12345, 'lr': 1}", f"{{'api_key': {REDACTED}, 'lr': 1}}"),
        ('"{\\"token\\": \\"abc\\"}"', f'"{{\\"token\\": \\"{REDACTED}\\"}}"'),
        ("password: hunter2", f"password: {REDACTED}"),
        ("X-Api-Key: abc", f"X-Api-Key: {REDACTED}"),
        ("Authorization: Bearer abc.def", f"Authorization: {REDACTED}"),
        ("-H 'authorization: Basic YTpi'", f"-H 'authorization: {REDACTED}'"),
        ("got bearer 0123456789abcdef==", f"got bearer {REDACTED}"),
        (f"id AKIA{'A' * 16}, token", f"id {REDACTED}, token"),
        (f"hf_{'a1' * 10}", REDACTED),
        (f"ghp_{'a1' * 10}!", f"{REDACTED}!"),
        (f"key is sk-{'a1' * 10}", f"key is {REDACTED}"),
        (f"eyJ{'a' * 20}.{'b' * 20}.{'c' * 20}", REDACTED),
        (
            "x -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- y",
            f"x {REDACTED} y",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMII", REDACTED),
    ],
)
def test_secrets_in_text(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "unexpected token: x",
        "give --token or set HF_TOKEN",
        "the option --password is required",
        "HF_TOKEN: not set",
        "sk-learn-pipelines-for-everyone",
        "the bearer of good news",
        "give `--secret-env NAME`",
        "key1=value1",
    ],
)
def test_prose_stays_readable(text: str) -> None:
    assert redact_text(text) == text


LINEAR = [
    *("x", "x.", "a=", "://", "://a:", "://a:b", "a://", "x-=", "--token ", "--token\n- ", "-- "),
    *("token='", "token=\\", '"token": ', '"token"', "token: ", "authorization: ", "bearer "),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "sk-", "sk-a", "eyJaaaaaaaaaaaa.", "hf_"),
    *("://aaaaaaaaaaaaaaaaaaaaaaaa", "-a", "' ", '\\"', "--token', "),
]


@pytest.mark.parametrize("part", LINEAR)
def test_a_long_text_is_read_in_linear_time(part: str) -> None:
    text = part * 30_000
    assert redact_text(f"{text}\n 'x' token=t").endswith((f"token={REDACTED}", REDACTED))


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


def test_a_word_of_a_command_line_is_hidden_to_its_end() -> None:
    assert redact_args(["--token=a b,c;d'e", "PASSWORD=x y", "--lr=1"]) == [
        f"--token={REDACTED}",
        f"PASSWORD={REDACTED}",
        "--lr=1",
    ]


def test_secrets_of_nested_data_are_hidden_wherever_they_occur() -> None:
    data = {
        "env": {"DB_PASSWORD": "hunter22", "LR": "1"},
        "roles": [{"args": ("--token", "tok-1234"), "cmd": "use hunter22 and 'tok-1234'"}],
        "container": [{"name": "API_KEY", "value": "key-12345"}, {"Name": "LR", "Value": "1"}],
        "credentials": {"user": "bob", "nested": ["secret-words"]},
        "password": 123456,
        "tokens": [],
        "n": 1,
    }
    assert redact_data(data) == {
        "env": {"DB_PASSWORD": REDACTED, "LR": "1"},
        "roles": [{"args": ["--token", REDACTED], "cmd": f"use {REDACTED} and '{REDACTED}'"}],
        "container": [{"name": "API_KEY", "value": REDACTED}, {"Name": "LR", "Value": "1"}],
        "credentials": REDACTED,
        "password": REDACTED,
        "tokens": [],
        "n": 1,
    }
    assert secrets_in(data) == ["hunter22", "tok-1234", "key-12345", "secret-words"]


def test_what_tells_where_a_secret_is_and_labels_are_shown() -> None:
    data = {
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "topologyKey": "zone",
        "imagePullSecrets": [{"name": "regcred"}],
        "secret": {"secretName": "tls", "items": [{"key": "a", "path": "b"}]},
    }
    assert redact_data({key: data[key] for key in ("tolerations", "topologyKey")}) == {
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "topologyKey": "zone",
    }
    assert redact_data(data)["imagePullSecrets"] == [{"name": "regcred"}]
    assert redact_data(data)["secret"]["secretName"] == "tls"


def test_tags_show_their_keys_and_hide_the_values_of_secret_ones() -> None:
    tags = [{"Key": "team", "Value": "vision"}, {"Key": "db_password", "Value": "open-sesame"}]
    assert redact_data(tags) == [tags[0], {"Key": "db_password", "Value": REDACTED}]
    assert redact_data({"key": "team", "value": "vision"}) == {"key": "team", "value": "vision"}


def test_members_of_enums_of_texts_become_texts() -> None:
    shown = redact_data({"policy": RetryPolicy.ROLE, "state": AppState.FAILED})
    assert repr(shown["policy"]) == "'ROLE'"
    assert shown["state"] is AppState.FAILED


def test_data_that_contains_itself_comes_to_an_end() -> None:
    data: dict[str, object] = {"token": "abcdefgh"}
    data["self"] = data
    assert "abcdefgh" not in str(redact_data(data))


@pytest.mark.parametrize(
    "secret", ['it\'s "quoted"', "new\nline", "ümläut", "a b c d", "a/b+c==&d"]
)
def test_a_remembered_secret_is_hidden_in_every_spelling(secret: str) -> None:
    from urllib.parse import quote

    remember_secrets([secret])
    for text in (
        secret,
        repr([secret]),
        json.dumps(secret),
        shlex.quote(secret),
        quote(secret, ""),
    ):
        assert redact_text(f"<{text}>").count(REDACTED) == 1
        assert secret[-3:] not in redact_text(text)


def test_the_variables_of_remembered_secrets_are_secret() -> None:
    assert not is_secret_name("PLAIN_NAME")
    remember_secrets({"PLAIN_NAME": "abc", "OTHER": "longer-value"})
    assert is_secret_name("PLAIN_NAME")
    assert redact_env({"PLAIN_NAME": "abc", "X": "abc"}) == {"PLAIN_NAME": REDACTED, "X": "abc"}
    assert redact_text("found longer-value") == f"found {REDACTED}"


def test_a_secret_within_a_secret_does_not_show_the_rest() -> None:
    remember_secrets(["abcdef"])
    remember_secrets(["abcdef-ghijkl"])
    assert redact_text("abcdef-ghijkl") == REDACTED


def test_every_line_of_a_long_secret_is_hidden() -> None:
    remember_secrets(["first line of a secret\nsecond line of a secret\nend"])
    assert redact_text("'second line of a secret'") == f"'{REDACTED}'"


def test_only_so_many_secrets_are_remembered() -> None:
    remember_secrets([f"secret-{number:06}" for number in range(1500)])
    assert redact_text("secret-001499") == REDACTED
    assert redact_text("secret-000000") == "secret-000000"


@given(
    st.recursive(
        st.text() | st.none() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_hiding_nested_data_keeps_its_shape_and_is_stable(data: object) -> None:
    once = redact_data(data)
    assert redact_data(once) == once or "nan" in str(once)
    assert type(once) is type(data)


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
