from __future__ import annotations

import ast
from pathlib import Path
from unittest.mock import patch

import pytest

from torchx.specs import file_linter
from torchx.specs.file_linter import (
    OK,
    ArgTypeValidator,
    ComponentFnVisitor,
    ComponentFunctionValidator,
    LinterMessage,
    get_generic_type,
    get_optional_type,
    is_primitive,
    validate,
    validate_source,
)

MISSING_RETURN = (
    "Function: fn missing return annotation or has unknown annotations."
    " Supported return annotation: AppDef"
)
TWO_PARAMETERS = "expected exactly two type parameters (dict[K, V])"
NO_KWARGS = "use a dict or explicit parameters,"
WRONG_RETURN = "Function: fn has incorrect return annotation, supported annotation: AppDef"


def descriptions(source: str) -> list[str]:
    return [message.description for message in validate_source(source, "fn")]


@pytest.mark.parametrize("returned", ["AppDef", "specs.AppDef", '"AppDef"', '"specs.AppDef"'])
def test_a_component_without_faults(returned: str) -> None:
    assert (
        descriptions(f"def fn(a: int, *args: str, b: str | None = None) -> {returned}: ...") == []
    )


def test_renamed_imports_are_followed() -> None:
    source = (
        "from typing import Optional as Maybe\n"
        "from torchx.specs import AppDef as Job\n"
        "def fn(a: Maybe[int] = None) -> Job: ...\n"
    )
    assert descriptions(source) == []


@pytest.mark.parametrize(
    ("signature", "description"),
    [
        ("def fn(): ...", MISSING_RETURN),
        ("def fn() -> list[AppDef]: ...", MISSING_RETURN),
        ("def fn() -> None: ...", WRONG_RETURN),
        ("def fn() -> int: ...", WRONG_RETURN),
        ('def fn() -> "int": ...', WRONG_RETURN),
    ],
)
def test_return_annotation(signature: str, description: str) -> None:
    assert descriptions(signature) == [description]


def test_all_faults_are_reported_at_once_in_the_order_of_the_signature() -> None:
    source = (
        "from typing import *\n"
        "def fn(\n"
        "    p, /,\n"
        "    a,\n"
        "    x: Dict[int, List[str]],\n"
        "    arg3: Dict[List[int], str],\n"
        "    arg7: Optional[Optional[str]],\n"
        "    *args,\n"
        "    k: dict[str] = {},\n"
        "    **kwargs: str,\n"
        "): ...\n"
    )
    messages = validate_source(source, "fn")
    faults = {
        "p": (3, "Missing type annotation"),
        "a": (4, "Missing type annotation"),
        "x: Dict[int, List[str]]": (5, "Non-primitive value type 'List[str]'"),
        "arg3: Dict[List[int], str]": (6, "Non-primitive key type 'List[int]'"),
        "arg7: Optional[Optional[str]]": (7, "Unsupported container type 'Optional'"),
        "args": (8, "Missing type annotation"),
        "k: dict[str]": (9, f"Malformed dict type 'dict[str]', {TWO_PARAMETERS}"),
        "kwargs: str": (10, f"Unsupported variable keyword arguments, {NO_KWARGS}"),
    }
    expected = [
        (line, f"{reason} for argument {argument!r} in function 'fn'")
        for argument, (line, reason) in faults.items()
    ]
    found = [(message.line, message.description) for message in messages]
    assert found == [*expected, (2, MISSING_RETURN)]
    assert {message.name for message in messages} == {"TorchxFunctionValidator"}
    assert {message.severity for message in messages} == {"error"}


def test_a_class_of_the_file_that_no_text_stands_for() -> None:
    source = "class Foo: ...\ndef fn(x: Foo) -> AppDef: ...\n"
    assert descriptions(source) == [
        "Unsupported argument type 'Foo' for argument 'x: Foo' in function 'fn'"
    ]


def test_a_syntax_error_is_a_message() -> None:
    [message] = validate_source("def fn(:\n", "fn")
    assert (message.name, message.description, message.line) == (
        "TorchXValidator",
        "invalid syntax",
        1,
    )


@pytest.mark.parametrize("source", ["", "async def fn() -> AppDef: ...", "fn = lambda: 1"])
def test_a_function_that_is_not_there(source: str) -> None:
    [message] = validate_source(source, "fn")
    assert message == LinterMessage("TorchXValidator", "Function fn not found", 0, 0)


@pytest.mark.parametrize(
    "source",
    ["if True:\n  def fn(a) -> AppDef: ...", "class C:\n  def fn(a) -> AppDef: ..."],
)
def test_where_functions_are_looked_for(source: str) -> None:
    assert len(descriptions(source)) == 1
    nested = "def outer():\n" + "\n".join(f"  {line}" for line in source.splitlines())
    assert descriptions(nested) == ["Function fn not found"]


def test_the_code_is_never_executed(tmp_path: Path) -> None:
    path = tmp_path / "component.py"
    path.write_text("raise SystemExit(1)\ndef fn() -> AppDef: ...\n")
    assert validate(str(path), "fn") == OK() == []


def test_validate_reads_through_a_name_of_this_module() -> None:
    with patch("torchx.specs.file_linter.read_conf_file", return_value="def fn(): ...") as read:
        assert validate("anywhere.py", "fn")[0].description == MISSING_RETURN
    read.assert_called_once_with("anywhere.py")


def test_a_text_is_parsed_once_for_all_its_functions() -> None:
    source = "def one() -> AppDef: ...\ndef two() -> AppDef: ...\n# only parsed here\n"
    before = file_linter.parse.cache_info().misses
    validate_source(source, "one")
    validate_source(source, "two")
    assert file_linter.parse.cache_info().misses == before + 1


class NameValidator(ComponentFunctionValidator):
    def validate(self, app_specs_func_def: ast.FunctionDef) -> list[LinterMessage]:
        return [self._gen_linter_message(app_specs_func_def.name, app_specs_func_def.lineno)]


def test_rules_can_be_chosen() -> None:
    source = "def fn(a): ..."
    assert validate_source(source, "fn", []) == []
    assert [one.description for one in validate_source(source, "fn", [NameValidator()])] == ["fn"]
    assert len(validate_source(source, "fn", [ArgTypeValidator()])) == 1


def test_the_visitor() -> None:
    visitor = ComponentFnVisitor("fn", None)
    seen = []
    for source in ("def other(a): ...", "def fn(a) -> AppDef: ..."):
        visitor.visit(ast.parse(source))
        seen.append(visitor.visited_function)
    assert seen == [False, True]
    assert len(visitor.linter_errors) == 1
    assert [type(one).__name__ for one in visitor.validators] == [
        "ArgTypeValidator",
        "ReturnTypeValidator",
    ]


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def test_questions_about_annotations() -> None:
    assert is_primitive(expression("int"))
    assert not is_primitive(expression("list[int]"))
    generic = get_generic_type(expression("List[int]"))
    assert generic is not None
    assert ast.unparse(generic) == "List"
    assert get_generic_type(expression("int")) is None
    for text in ("Optional[int]", "typing.Optional[int]", "int | None", "None | int"):
        inner = get_optional_type(expression(text))
        assert inner is not None
        assert ast.unparse(inner) == "int"
    for text in ("int", "List[int]", "int | str"):
        assert get_optional_type(expression(text)) is None


def test_names_importable_from_here() -> None:
    assert set(file_linter.__all__) <= vars(file_linter).keys()
