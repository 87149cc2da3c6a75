"""What of the images is asked for: the parameters of the page and of the API."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from exporter.model.status import PROBLEMS, STATES

MOST_ROWS = 1000
LONGEST_TEXT = 255
REFRESHES: Mapping[int, str] = MappingProxyType(
    {0: "off", 10: "10 s", 30: "30 s", 60: "1 min", 300: "5 min"}
)
"""Seconds after which the page may be asked to refresh itself, in words."""


class QueryError(ValueError):
    """Parameters that cannot be understood.

    ``parameters`` has for each its name, the value given, and what is accepted.
    """

    def __init__(self, parameters: Iterable[tuple[str, str, str]]) -> None:
        self.parameters = tuple(parameters)
        super().__init__(
            "; ".join(f"{name} is not accepted: give {ok}" for name, _, ok in self.parameters)
        )


def _among(accepted: Collection[Any]) -> AfterValidator:
    def check(value: object) -> object:
        if value not in accepted:
            raise ValueError("not accepted")
        return value

    return AfterValidator(check)


_STATES = ("", *STATES)
_PROBLEMS = ("", "any", "none", *PROBLEMS)
_TEXT = f"up to {LONGEST_TEXT} characters"


def _one_of(words: Iterable[object]) -> str:
    return f"one of {', '.join(str(word) for word in words if word != '')}"


class Query(BaseModel):
    """Which images, in which order, and which page of them.

    The description of a field is what it accepts. A parameter that is empty is one not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: Annotated[str, Field(max_length=LONGEST_TEXT, description=_TEXT)] = ""
    cloud: Annotated[str, Field(max_length=LONGEST_TEXT, description=_TEXT)] = ""
    state: Annotated[str, _among(_STATES), Field(description=_one_of(_STATES))] = ""
    problem: Annotated[str, _among(_PROBLEMS), Field(description=_one_of(_PROBLEMS))] = ""
    sort: Annotated[
        Literal["state", "since", "image", "cloud", "size", "changed", "polled"],
        Field(description="one of state, since, image, cloud, size, changed, polled"),
    ] = "state"
    order: Annotated[Literal["asc", "desc"], Field(description="one of asc, desc")] = "asc"
    page: Annotated[
        int, Field(ge=1, le=10**9, description="a whole number from 1 to 1000000000")
    ] = 1
    limit: Annotated[
        int, Field(ge=1, le=MOST_ROWS, description=f"a whole number from 1 to {MOST_ROWS}")
    ] = 100

    @classmethod
    def read(cls, parameters: Iterable[tuple[str, str]]) -> Self:
        """The query of these pairs of name and value; raises ``QueryError``."""
        given: dict[str, str] = {}
        bad = []
        for name, value in parameters:
            if value and name in given:
                bad.append((name, value, "one value"))
            elif value or name not in cls.model_fields:
                given[name] = value
        try:
            query = cls.model_validate(given)
        except ValidationError as error:
            names = [str(each["loc"][0]) for each in error.errors()]
            raise QueryError(
                [*((name, given[name], cls.accepts(name)) for name in names), *bad]
            ) from None
        if bad:
            raise QueryError(bad)
        return query

    @classmethod
    def accepts(cls, name: str) -> str:
        """What a parameter accepts, or, where there is none of this name, which there are."""
        if name in cls.model_fields:
            return str(cls.model_fields[name].description)
        return f"{_one_of(cls.model_fields)} in its place"

    def link(self, **changes: object) -> str:
        """The query that differs by ``changes``, as ``?name=value…``, without defaults."""
        changed = self.model_copy(update=changes)
        return "?" + urlencode(changed.model_dump(exclude_defaults=True))


class PageQuery(Query):
    """What the page is asked for: besides the images, when it refreshes itself, in seconds."""

    refresh: Annotated[int, _among(REFRESHES), Field(description=_one_of(REFRESHES))] = 30

    def images(self) -> Query:
        """The same for the API, which has no refresh."""
        return Query.model_validate(self.model_dump(exclude={"refresh"}))
