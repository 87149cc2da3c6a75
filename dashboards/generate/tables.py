"""Tables: one row for each image or cloud, each column a query of its own or a label."""

from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, prometheus, table
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as formats
from grafana_foundation_sdk.models.units import String

from dashboards.generate.colors import GOOD
from dashboards.generate.panels import Frame, Words, framed, mapping


@dataclass(frozen=True, slots=True)
class Column:
    """A column of values where it has a query, else one of the label of that name.

    ``filled`` puts the colour of the value's words behind them; ``link`` opens on a click.
    """

    title: str
    source: str
    is_query: bool = True
    unit: str | None = None
    width: int | None = None
    words: Words | None = None
    filled: bool = False
    link: str | None = None

    def properties(self) -> list[models.DynamicConfigValue]:
        """The overrides that make it look so."""
        link = [{"title": "Show ${__value.text}", "url": self.link}] if self.link else None
        wanted = {
            "unit": self.unit,
            "custom.width": self.width,
            "mappings": [mapping(self.words)] if self.words else None,
            "custom.align": "left" if self.filled else None,
            "custom.cellOptions": {"type": "color-background", "mode": "basic"}
            if self.filled
            else None,
            "links": link,
        }
        return [
            models.DynamicConfigValue(id_val=name, value=value)
            for name, value in wanted.items()
            if value is not None
        ]


def calm(words: Words) -> Words:
    """The words without a colour where all is well: in a table, only what is wrong stands out."""
    return {
        value: (text, "transparent" if color == GOOD else color)
        for value, (text, color) in words.items()
    }


def label(title: str, name: str, *, width: int | None = None, link: str | None = None) -> Column:
    """A column of a label's values, which are text even where they look like numbers."""
    return Column(title, name, is_query=False, unit=String, width=width, link=link)


def listing(frame: Frame, *columns: Column, worst: str | None = None) -> table.Panel:
    """A table of the columns in their order, highest value of the column ``worst`` first."""
    asked = dict(
        zip(ascii_uppercase, (column for column in columns if column.is_query), strict=False)
    )
    queries = (_query(column) for column in asked.values())
    named = [_named(query, column) for query, column in asked.items() if column.title]
    panel = (
        framed(table.Panel(), frame, queries)
        .transformations([*named, *_rows(), _order(columns)])
        .cell_height(options.TableCellHeight.SM)
        .filterable(True)
        # What the frame says of an empty table would else stand in every empty cell.
        .override_by_regexp("/.*/", [models.DynamicConfigValue(id_val="noValue", value="-")])
    )
    if worst:
        panel.sort_by([common.TableSortByFieldState().display_name(worst).desc(True)])
    for column in columns:
        if properties := column.properties():
            panel.override_by_name(column.title, properties)
    return panel


def labels_of(info: str) -> Column:
    """The query that columns of labels come from; its value, which says nothing, is not shown."""
    return Column("", info)


def _query(column: Column) -> prometheus.Dataquery:
    table_format = formats.PromQueryFormat.TABLE
    return prometheus.Dataquery().expr(column.source).format(table_format).instant()


def _named(query: str, column: Column) -> models.DataTransformerConfig:
    """Copies the values of one query to a column of their own.

    The data source calls them Value or after their query, which depends on how many queries have
    an answer, and merging goes by that name.
    """
    return models.DataTransformerConfig(
        id_val="calculateField",
        filter_val=models.MatcherConfig(id_val="byRefId", options=query),
        options={
            "mode": "reduceRow",
            "reduce": {"reducer": "lastNotNull"},
            "alias": column.title,
        },
    )


def _rows() -> list[models.DataTransformerConfig]:
    """One row for each set of labels, from what all queries say of it."""
    unnamed = {"exclude": {"pattern": "/^(Time|Value.*)$/"}}
    return [
        models.DataTransformerConfig(id_val="filterFieldsByName", options=unnamed),
        models.DataTransformerConfig(id_val="merge", options={}),
    ]


def _order(columns: tuple[Column, ...]) -> models.DataTransformerConfig:
    shown = [column for column in columns if column.title]
    names = [column.title if column.is_query else column.source for column in shown]
    titles = {column.source: column.title for column in shown if not column.is_query}
    return models.DataTransformerConfig(
        id_val="organize",
        options={
            "indexByName": {name: place for place, name in enumerate(names)},
            "renameByName": titles,
        },
    )
