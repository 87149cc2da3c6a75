"""Query parameters of the page and of the API: filter, sort order and pagination."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from exporter.model.status import PROBLEMS, STATES

MAX_LIMIT = 1000
MAX_TEXT_LENGTH = 255
MAX_REPORTED = 20
"""Invalid parameters that a response names, so that it is not much larger than the request."""

REFRESH_INTERVALS: Mapping[int, str] = MappingProxyType(
    {0: "off", 10: "10 s", 30: "30 s", 60: "1 min", 300: "5 min"}
)
"""Refresh intervals of the page in seconds, with their labels."""


class QueryError(ValueError):
    """Invalid query parameters.

    Attributes:
        parameters: Name, value and accepted values of each invalid parameter.
        reported: The first of them, which the text and the response name.
    """

    def __init__(self, parameters: Iterable[tuple[str, str, str]]) -> None:
        self.parameters = tuple(parameters)
        self.reported = self.parameters[:MAX_REPORTED]
        super().__init__(
            "; ".join(
                f"{name} is not accepted; accepted: {accepted}"
                for name, _, accepted in self.reported
            )
        )


def _among(accepted: Collection[Any]) -> AfterValidator:
    def check(value: object) -> object:
        if value not in accepted:
            raise ValueError("not accepted")
        return value

    return AfterValidator(check)


_STATES = ("", *STATES)
_PROBLEMS = ("", "any", "none", *PROBLEMS)
_TEXT = f"up to {MAX_TEXT_LENGTH} characters"


def _one_of(words: Iterable[object]) -> str:
    return f"one of {', '.join(str(word) for word in words if word != '')}"


class Query(BaseModel):
    """Filter, sort order and page of a list of images.

    The description of each field says what the parameter accepts. An empty parameter counts as
    absent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: Annotated[str, Field(max_length=MAX_TEXT_LENGTH, description=_TEXT)] = ""
    cloud: Annotated[str, Field(max_length=MAX_TEXT_LENGTH, description=_TEXT)] = ""
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
        int, Field(ge=1, le=MAX_LIMIT, description=f"a whole number from 1 to {MAX_LIMIT}")
    ] = 100

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, str]]) -> Self:
        """Parse pairs of name and value.

        Raises:
            QueryError: Parameters are unknown, invalid or repeated; it names all of them.
        """
        values: dict[str, str] = {}
        repeated = []
        for name, value in parameters:
            if value and name in values:
                repeated.append((name, value, "one value"))
            elif value or name not in cls.model_fields:
                values[name] = value
        try:
            query = cls.model_validate(values)
        except ValidationError as error:
            names = [str(mistake["loc"][0]) for mistake in error.errors()]
            invalid = [(name, values[name], cls.accepted_values(name)) for name in names]
            raise QueryError([*invalid, *repeated]) from None
        if repeated:
            raise QueryError(repeated)
        return query

    @classmethod
    def accepted_values(cls, name: str) -> str:
        """Describe the accepted values of a parameter, or list the parameters if it is unknown."""
        if name in cls.model_fields:
            return str(cls.model_fields[name].description)
        return f"the parameters {', '.join(cls.model_fields)}"

    def link(self, **changes: object) -> str:
        """Return the query with ``changes`` as ``?name=value…``; defaults are left out."""
        changed = self.model_copy(update=changes)
        return "?" + urlencode(changed.model_dump(exclude_defaults=True))


class PageQuery(Query):
    """A query of the page, which also has a refresh interval in seconds, and is shorter."""

    limit: Annotated[
        int, Field(ge=1, le=MAX_LIMIT, description=f"a whole number from 1 to {MAX_LIMIT}")
    ] = 50

    refresh: Annotated[
        int, _among(REFRESH_INTERVALS), Field(description=_one_of(REFRESH_INTERVALS))
    ] = 30

    def for_api(self) -> Query:
        """Return the same query for the API, which has no refresh interval."""
        return Query.model_validate(self.model_dump(exclude={"refresh"}))
