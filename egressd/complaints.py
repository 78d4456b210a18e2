"""What is wrong with a YAML file, said so that its writer can mend it.

Turns the errors of a pydantic model into problems with line, column, key path and what to write
instead. Knows nothing of sites or rules.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from egressd.yamlfile import KeyPath, Problem, YamlDocument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Form = TypeVar("Form", bound=BaseModel)

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list, [one, two]",
    "dict_type": "a mapping, {key: value}",
    "model_type": "a mapping, {key: value}",
    "model_attributes_type": "a mapping, {key: value}",
}


def fill(form: type[Form], document: YamlDocument) -> tuple[Form | None, list[Problem]]:
    """Return the filled form, or None and every problem with its shape."""
    try:
        return form.model_validate(document.value), []
    except ValidationError as error:
        return None, [_problem(form, document, one) for one in error.errors(include_url=False)]


def without_echoes(found: Iterable[Problem], refused: Iterable[Problem]) -> list[Problem]:
    """Return the problems found that are not merely consequences of what was refused before."""
    paths = {problem.path for problem in refused}
    return [p for p in found if not any(p.path[:n] in paths for n in range(1, len(p.path) + 1))]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " did you mean 'x'?" with the likeliest of the known words, or nothing."""
    close = get_close_matches(word[:100].lower(), list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}? " if close else ""


def _problem(form: type[BaseModel], document: YamlDocument, error: Mapping[str, Any]) -> Problem:
    path: KeyPath = tuple(step for step in error["loc"] if step != "[key]")
    at_key = error["type"] == "extra_forbidden" or "[key]" in error["loc"]
    place = document.key_position(path) if at_key else document.position(path)
    return Problem(place.line, place.column, path, _text(form, path, error))


def _text(form: type[BaseModel], path: KeyPath, error: Mapping[str, Any]) -> str:
    kind, given = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "missing":
        return f"is missing; write {_example(form, path)}"
    if kind == "extra_forbidden":
        known = _known_keys(form, path[:-1])
        return f"unknown key; {did_you_mean(str(path[-1]), known)}write one of {', '.join(known)}"
    if kind in _EXPECTED:
        return f"is {_kind_of(given)}; write {_instead(kind, given)}"
    if kind == "literal_error":
        choices = context["expected"].replace("'", "").replace(" or ", ", ")
        hint = did_you_mean(str(given), choices.split(", "))
        return f"is {_short(given)}; {hint}write one of {choices}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = "at least" if kind.startswith("greater") else "at most"
        return f"is {_short(given)}; write {bound} {context.get('ge', context.get('le'))}"
    if kind == "too_short":
        return "is empty; write at least one"
    if kind == "too_long":
        return f"is longer than {context['max_length']}; write networks instead of single entries"
    if "error" in context:
        return str(context["error"])
    return f"{error['msg']}; is {_short(given)}"


def _instead(kind: str, given: Any) -> str:
    if given is None:
        return f"{_EXPECTED[kind]}, or remove the key"
    if kind == "string_type" and isinstance(given, bool | int | float):
        return "it in quotes"
    if kind in ("int_type", "bool_type") and isinstance(given, str):
        return f"{_EXPECTED[kind]}, without quotes"
    return _EXPECTED[kind]


def _kind_of(given: Any) -> str:
    if given is None:
        return "empty"
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, int | float):
        return f"the number {_short(given)}"
    if isinstance(given, str):
        return f"the text {_short(given)}"
    return "a list" if isinstance(given, list) else "a mapping"


def _short(given: Any) -> str:
    text = repr(given) if isinstance(given, str | int | float | bool) else _kind_of(given)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(form: type[BaseModel], path: KeyPath) -> list[str]:
    model = _model_at(form, path)
    return [f.alias or name for name, f in model.model_fields.items()] if model else []


def _example(form: type[BaseModel], path: KeyPath) -> str:
    model = _model_at(form, path[:-1])
    for name, field in model.model_fields.items() if model else ():
        if (field.alias or name) == path[-1] and field.examples:
            return f"{path[-1]}: {field.examples[0]}"
    return f"{path[-1]}: ..."


def _model_at(form: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    model: type[BaseModel] | None = form
    for step in path:
        if isinstance(step, int):
            continue
        fields = model.model_fields.items() if model is not None else ()
        annotation = next((f.annotation for n, f in fields if (f.alias or n) == step), None)
        model = _model_in(annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside list[Model], Model | None and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for part in get_args(annotation) if (m := _model_in(part))), None)
