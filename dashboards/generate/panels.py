"""Panels that all dashboards use."""

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
from grafana_foundation_sdk.models.units import LocaleFormat, Short

from dashboards.generate.colors import BAD, GOOD, GREY
from dashboards.generate.states import BY_NUMBER

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

EMPTY = "No data: is the exporter scraped, and do the variables above select it?"
"""Text of an empty panel that has data in every healthy installation."""

UNKNOWN = "unknown"
"""Text of an empty number, since a 0 would mean that all is well."""

BAR = "1m"
"""Minimum width of a bar in time."""

BARS = 120
"""Maximum number of bars of a panel. With one for each pixel, those of a day could not be seen."""

RATE_STEP = "3m"
"""Minimum step of a query with ``$__rate_interval``, which becomes four times as long.

A rate needs two scrapes in that window, and the data source does not know the scrape interval: by
default Grafana assumes 15s. These 12 minutes have two also if Prometheus scrapes every 5 minutes.
"""

Words = Mapping[int, tuple[str, str]]
"""Text and colour of each value."""

STATE_WORDS: Words = {number: (state.text, state.color) for number, state in BY_NUMBER.items()}

Drawn = TypeVar("Drawn", stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)


@dataclass(frozen=True, slots=True)
class Frame:
    """Common properties of a panel; ``width`` of 24 columns, ``height`` in rows of the grid."""

    title: str
    description: str
    width: int
    height: int
    unit: str = Short
    empty: str = ""

    def with_whole_counts(self) -> "Frame":
        """Return the frame for exact numbers: 10,400 instead of 10.4 K."""
        return replace(self, unit=LocaleFormat) if self.unit == Short else self


def framed(panel: Drawn, frame: Frame, queries: Iterable[prometheus.Dataquery]) -> Drawn:
    """Apply the frame and the queries (named A, B, ...) to the panel."""
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
    """Return a query over the whole time range."""
    query = prometheus.Dataquery().expr(expression).legend_format(legend).range()
    return query.interval(RATE_STEP) if "$__rate_interval" in expression else query


def latest(expression: str, legend: str = "") -> prometheus.Dataquery:
    """Return a query at the end of the time range."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).instant()


def mapping(words: Words) -> models.ValueMap:
    """Return a value mapping that shows words for values."""
    return models.ValueMap(
        options={
            str(value): models.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(words.items())
        }
    )


def steps(*colors: tuple[float | None, str]) -> builders.ThresholdsConfig:
    """Return thresholds: the colour from each value on; the first has no value."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in colors])
    )


def by_value() -> builders.FieldColor:
    """Return a color scheme by threshold or by value mapping."""
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
    """Return a panel with one large number, on a coloured background if it has thresholds.

    With a ``legend`` it shows the legend of each series instead.
    """
    colored = thresholds or words
    frame = replace(frame.with_whole_counts(), empty=frame.empty or UNKNOWN)
    panel = (
        framed(stat.Panel(), frame, [latest(query, legend)])
        .color_scheme(by_value())
        .thresholds(thresholds or steps((None, GREY if words else "text")))
        .mappings([mapping(words)] if words else [])
        .color_mode(
            options.BigValueColorMode.BACKGROUND_SOLID
            if colored
            else options.BigValueColorMode.NONE
        )
        .graph_mode(options.BigValueGraphMode.NONE)
        .justify_mode(options.BigValueJustifyMode.CENTER)
        .text_mode(options.BigValueTextMode.NAME if legend else options.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    return panel if decimals is None else panel.decimals(decimals)


def none_is_good() -> builders.ThresholdsConfig:
    """Return thresholds for a number that should be 0."""
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
    """Return a panel of values over time.

    Args:
        frame: common properties of the panel.
        queries: queries with one or more series each.
        named: display names and colours of series, by their legend.
        stacked: draw stacked areas.
        bars: draw stacked bars, for counts.
        from_zero: start the axis at 0.
        up_to: minimum of the upper end of the axis, so that small numbers do not look large.
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
        panel.interval(BAR).max_data_points(BARS)
    for series, (name, color) in (named or {}).items():
        panel.override_by_name(series, _named(name, color))
    return panel


def _named(name: str, color: str) -> list[models.DynamicConfigValue]:
    return [
        models.DynamicConfigValue(id_val="displayName", value=name),
        models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color}),
    ]


def dashed(panel: timeseries.Panel, pattern: str) -> timeseries.Panel:
    """Draw the series whose names match as thin dashed lines, as references for others."""
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
    """Return a state timeline with a band per series; each query has its own words."""
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
        override = models.DynamicConfigValue(id_val="mappings", value=[mapping(words)])
        panel.override_by_query(name, [override])
    return panel
