"""Panels as all dashboards have them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    common,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.units import Short

from dashboards.generate.colors import BAD, GOOD, GREY
from dashboards.generate.states import BY_NUMBER

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

EMPTY = "Nothing is known: is the exporter scraped, and are the variables above set to it?"
"""What a panel says that always has data in a healthy installation."""

UNKNOWN = "unknown"
"""The same in the place of a number, lest a 0 say that all is well."""

BAR = "1m"
"""The least time for which one bar stands, so that few windows overlap and show a thing twice."""

Words = Mapping[int, tuple[str, str]]
"""The text and the colour for each value."""

STATE_WORDS: Words = {number: (each.text, each.color) for number, each in BY_NUMBER.items()}

Drawn = TypeVar("Drawn", stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)


@dataclass(frozen=True, slots=True)
class Frame:
    """What every panel has; ``width`` is of 24 columns, ``height`` in rows of the grid."""

    title: str
    description: str
    width: int
    height: int
    unit: str = Short
    empty: str = ""


def framed(panel: Drawn, frame: Frame, queries: Iterable[prometheus.Dataquery]) -> Drawn:
    """Gives the panel its frame and its queries, the first of which is A."""
    targets: list[Builder[Dataquery]] = [
        query.ref_id(name) for name, query in zip(ascii_uppercase, queries, strict=False)
    ]
    return (
        panel.title(frame.title)
        .description(frame.description)
        .span(frame.width)
        .height(frame.height)
        .unit(frame.unit)
        .no_value(frame.empty or EMPTY)
        .datasource(DATASOURCE)
        .targets(targets)
    )


def over_time(expression: str, legend: str) -> prometheus.Dataquery:
    """A query for the whole time range."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).range()


def latest(expression: str, legend: str = "") -> prometheus.Dataquery:
    """A query for the end of the time range."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).instant()


def mapping(words: Words) -> models.ValueMap:
    """Shows words for values."""
    return models.ValueMap(
        options={
            str(value): models.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(words.items())
        }
    )


def steps(*colors: tuple[float | None, str]) -> builders.ThresholdsConfig:
    """The colour from each value on; the first is without a value."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in colors])
    )


def by_value() -> builders.FieldColor:
    """Colours by threshold or by the value's words."""
    return builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)


def number(
    frame: Frame,
    query: str,
    *,
    thresholds: builders.ThresholdsConfig | None = None,
    words: Words | None = None,
    legend: str = "",
    decimals: int | None = None,
) -> stat.Panel:
    """One large number, on a ground of its colour where it can be bad.

    With a ``legend``, what that says of each series is shown instead.
    """
    judged = thresholds or words
    frame = replace(frame, empty=frame.empty or UNKNOWN)
    panel = (
        framed(stat.Panel(), frame, [latest(query, legend)])
        .color_scheme(by_value())
        .thresholds(thresholds or steps((None, GREY if words else "text")))
        .mappings([mapping(words)] if words else [])
        .color_mode(
            options.BigValueColorMode.BACKGROUND_SOLID if judged else options.BigValueColorMode.NONE
        )
        .graph_mode(options.BigValueGraphMode.NONE)
        .justify_mode(options.BigValueJustifyMode.CENTER)
        .text_mode(options.BigValueTextMode.NAME if legend else options.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    return panel if decimals is None else panel.decimals(decimals)


def none_is_good() -> builders.ThresholdsConfig:
    """For a number that should be 0."""
    return steps((None, GOOD), (1, BAD))


def lines(
    frame: Frame,
    *queries: prometheus.Dataquery,
    named: Mapping[str, tuple[str, str]] | None = None,
    stacked: bool = False,
    bars: bool = False,
    from_zero: bool = True,
    up_to: float | None = None,
) -> timeseries.Panel:
    """Values over time.

    Args:
        frame: what every panel has.
        queries: one or more series each.
        named: other names and the colours of series, by the names that their queries give.
        stacked: as areas upon each other.
        bars: as bars upon each other, for what is counted.
        from_zero: begin the axis at 0.
        up_to: let the axis reach this at least, lest small numbers look large.
    """
    filled = stacked or bars
    stacking = options.StackingMode.NORMAL if filled else options.StackingMode.NONE
    panel = (
        framed(timeseries.Panel(), frame, queries)
        .line_width(0 if filled else 2)
        .fill_opacity(80 if filled else 10)
        .show_points(options.VisibilityMode.NEVER)
        .draw_style(options.GraphDrawStyle.BARS if bars else options.GraphDrawStyle.LINE)
        .line_interpolation(options.LineInterpolation.LINEAR)
        .stacking(common.StackingConfig().mode(stacking).group("A"))
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
        )
    )
    if from_zero:
        panel.min(0)
    if up_to is not None:
        panel.axis_soft_max(up_to)
    if bars:
        panel.interval(BAR)
    for series, (name, color) in (named or {}).items():
        panel.override_by_name(series, _named(name, color))
    return panel


def _named(name: str, color: str) -> list[models.DynamicConfigValue]:
    return [
        models.DynamicConfigValue(id_val="displayName", value=name),
        models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color}),
    ]


def dashed(panel: timeseries.Panel, pattern: str) -> timeseries.Panel:
    """Draws the series whose names match as thin broken lines: what others are held against."""
    line = {"fill": "dash", "dash": [6, 6]}
    return panel.override_by_regexp(
        pattern,
        [
            models.DynamicConfigValue(id_val="custom.lineStyle", value=line),
            models.DynamicConfigValue(id_val="custom.lineWidth", value=1),
            models.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
        ],
    )


def bands(frame: Frame, *queries: tuple[prometheus.Dataquery, Words]) -> statetimeline.Panel:
    """One band for each series, which says in words what was when; each query has its words."""
    panel = (
        framed(statetimeline.Panel(), frame, [query for query, _ in queries])
        .color_scheme(by_value())
        .thresholds(steps((None, GREY)))
        .show_value(options.VisibilityMode.AUTO)
        .merge_values(True)
        .row_height(0.85)
        .line_width(0)
        .fill_opacity(90)
        .per_page(15)
        .align_value(options.TimelineValueAlignment.LEFT)
        .legend(common.VizLegendOptions().show_legend(False))
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.SINGLE))
    )
    for name, (_, words) in zip(ascii_uppercase, queries, strict=False):
        shown = models.DynamicConfigValue(id_val="mappings", value=[mapping(words)])
        panel.override_by_query(name, [shown])
    return panel
