"""Reference of all settings: the source of the help and of CONFIGURATION.md."""

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.config.expect import Expect
from exporter.config.schema import Settings
from exporter.config.sources import ENVIRONMENT_PREFIX
from exporter.config.types import Metavar

NONE = "—"
"""Shown for a setting that has no flag, or no environment variable of its own."""


IN_FILE_ONLY = frozenset({"expect", "labels"})
"""Settings without flag and environment variable."""


class Row(NamedTuple):
    """A setting in the reference.

    ``metavar`` is the placeholder of the flag's value, or empty to use argparse's own. A switch
    is on or off. The flag of a list may be repeated.
    """

    key: str
    flag: str
    variable: str
    default: str
    meaning: str
    metavar: str = ""
    is_switch: bool = False
    is_list: bool = False


class _Kind(Enum):
    """Kinds of fields."""

    VALUE = auto()
    GROUP = auto()
    LIST = auto()
    """A list of mappings, each with settings of its own."""
    EXPECT = auto()


def reference() -> list[Row]:
    """Return every setting in the order of the models, including settings of clouds and images.

    Only the general ``expect`` has a row for each key. Those of a cloud and of an image are one row
    each.
    """
    return list(_rows(Settings, ()))


def _rows(model: type[BaseModel], parents: tuple[str, ...]) -> Iterator[Row]:
    for key, field in model.model_fields.items():
        keys = (*parents, key)
        inner = inner_model(field) or BaseModel
        match _kind(field):
            case _Kind.VALUE:
                yield _row(keys, field)
            case _Kind.GROUP:
                yield from _rows(inner, keys)
            case _Kind.LIST:
                yield _row(keys, field)._replace(flag=NONE)
                yield from _rows(inner, (*parents, f"{key}[]"))
            case _Kind.EXPECT if _is_in_list(keys):
                yield _row(keys, field)
            case _Kind.EXPECT:
                yield from _rows(inner, keys)


def _kind(field: FieldInfo) -> _Kind:
    inner = inner_model(field)
    if inner is None:
        return _Kind.VALUE
    if field.annotation is not inner:
        return _Kind.LIST
    return _Kind.EXPECT if inner is Expect else _Kind.GROUP


def _row(keys: tuple[str, ...], field: FieldInfo) -> Row:
    is_in_file_only = _is_in_list(keys) or keys[0] in IN_FILE_ONLY
    return Row(
        key=".".join(keys),
        flag=NONE if is_in_file_only else "--" + ".".join(keys).replace("_", "-"),
        variable=NONE if is_in_file_only else ENVIRONMENT_PREFIX + "__".join(keys).upper(),
        default=_default(field),
        meaning=field.description or "",
        metavar=_metavar(field),
        is_switch=field.annotation is bool,
        is_list=tuple
        in {get_origin(field.annotation), *map(get_origin, get_args(field.annotation))},
    )


def _is_in_list(keys: tuple[str, ...]) -> bool:
    return any(key.endswith("[]") for key in keys)


def inner_model(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model that a field holds, or holds a list of."""
    candidates = (field.annotation, *get_args(field.annotation))
    models = (kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return next(models, None)


def _metavar(field: FieldInfo) -> str:
    """Return the placeholder that the type of a field has, also as ``Type | None``."""
    nested = (item for kind in get_args(field.annotation) for item in get_args(kind))
    metavars = (item.name for item in (*field.metadata, *nested) if isinstance(item, Metavar))
    return next(metavars, "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["default"])
    return str(field.default) if field.default not in (None, ()) else "none"
