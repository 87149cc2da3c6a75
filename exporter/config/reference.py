"""Every setting as a row: what the help and the documentation show."""

from collections.abc import Iterator
from typing import NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.config.expect import Expect
from exporter.config.schema import Settings
from exporter.config.sources import ENVIRONMENT_PREFIX

NONE = "—"
"""In the reference: no flag, or no variable of its own."""


class Row(NamedTuple):
    """A setting, as the documentation and the help show it; ``is_switch`` if it is on or off."""

    key: str
    flag: str
    variable: str
    default: str
    meaning: str
    is_switch: bool = False


def reference() -> list[Row]:
    """Return every setting in the models' order, with those of a cloud and of an image.

    What is expected has its keys once, under ``expect``, and elsewhere one row.
    """
    return list(_rows(Settings, ()))


def _rows(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[Row]:
    for key, field in model.model_fields.items():
        keys = (*above, key)
        inner = inner_model(field)
        is_list = inner is not None and field.annotation is not inner
        in_list = any(part.endswith("[]") for part in keys)
        is_leaf = inner is None or is_list or (inner is Expect and in_list)
        in_file_only = in_list or keys[0] == "expect"
        if is_leaf:
            yield Row(
                key=".".join(keys),
                flag=NONE if in_file_only or is_list else "--" + ".".join(keys).replace("_", "-"),
                variable=NONE if in_file_only else ENVIRONMENT_PREFIX + "__".join(keys).upper(),
                default=_default(field),
                meaning=field.description or "",
                is_switch=field.annotation is bool,
            )
        if inner is not None and not (is_leaf and not is_list):
            yield from _rows(inner, (*above, f"{key}[]" if is_list else key))


def inner_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field holds, or holds a list of."""
    candidates = (field.annotation, *get_args(field.annotation))
    models = (kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return next(models, None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["default"])
    return str(field.default) if field.default not in (None, ()) else "none"
