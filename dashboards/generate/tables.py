"""Tables with a row per image or cloud; each column is a query or a label."""

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
    """A column of values of a query, or of a label.

    ``source`` is the query or the name of the label. ``filled`` colours the background of the cell
    by its value; ``link`` is the URL that a click opens.
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
        """Return the overrides of the column's field."""
        link = [{"title": "Show ${__value.text}", "url": self.link}] if self.link else None
        overrides = {
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
            for name, value in overrides.items()
            if value is not None
        ]


def calm(words: Words) -> Words:
    """Return the words without a colour for good values, so that only bad values stand out."""
    return {
        value: (text, "transparent" if color == GOOD else color)
        for value, (text, color) in words.items()
    }


def label(title: str, name: str, *, width: int | None = None, link: str | None = None) -> Column:
    """Return a column of a label's values, shown as text even if they look like numbers."""
    return Column(title, name, is_query=False, unit=String, width=width, link=link)


def listing(frame: Frame, *columns: Column, worst: str | None = None) -> table.Panel:
    """Return a table of the columns, sorted by the column ``worst``, highest value first."""
    queries_by_name = dict(
        zip(ascii_uppercase, (column for column in columns if column.is_query), strict=False)
    )
    queries = (_query(column) for column in queries_by_name.values())
    value_columns = [
        _value_column(query, column) for query, column in queries_by_name.items() if column.title
    ]
    panel = (
        framed(table.Panel(), frame.with_whole_counts(), queries)
        .transformations([*value_columns, *_rows(), _order(columns)])
        .cell_height(options.TableCellHeight.SM)
        .filterable(True)
        # Otherwise the frame's text for an empty table would appear in every empty cell.
        .override_by_regexp("/.*/", [models.DynamicConfigValue(id_val="noValue", value="-")])
    )
    if worst:
        panel.sort_by([common.TableSortByFieldState().display_name(worst).desc(True)])
    for column in columns:
        if properties := column.properties():
            panel.override_by_name(column.title, properties)
    return panel


def labels_of(info: str) -> Column:
    """Return a hidden column whose query provides labels for label columns."""
    return Column("", info)


def _query(column: Column) -> prometheus.Dataquery:
    table_format = formats.PromQueryFormat.TABLE
    return prometheus.Dataquery().expr(column.source).format(table_format).instant()


def _value_column(query: str, column: Column) -> models.DataTransformerConfig:
    """Copy the values of one query to a separate column.

    The data source names them "Value" or after their query, depending on how many queries have
    results, and merging uses that name.
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
    """Merge the results of all queries into one row per set of labels."""
    unnamed = {"exclude": {"pattern": "/^(Time|Value.*)$/"}}
    return [
        models.DataTransformerConfig(id_val="filterFieldsByName", options=unnamed),
        models.DataTransformerConfig(id_val="merge", options={}),
    ]


def _order(columns: tuple[Column, ...]) -> models.DataTransformerConfig:
    visible = [column for column in columns if column.title]
    names = [column.title if column.is_query else column.source for column in visible]
    titles = {column.source: column.title for column in visible if not column.is_query}
    return models.DataTransformerConfig(
        id_val="organize",
        options={
            "indexByName": {name: index for index, name in enumerate(names)},
            "renameByName": titles,
        },
    )
