"""Parts that all dashboards share: variables, links, annotations and the JSON format."""

import json
from collections.abc import Sequence
from typing import TypeAlias

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.generate.colors import BAD
from dashboards.generate.panels import DATASOURCE
from dashboards.generate.promql import ALL, PROCESS
from dashboards.generate.states import rank

TAG = "openstack-images"
"""Tag of every dashboard; a dashboard links to all others with this tag."""

CHOICES = 200
"""Images that a variable offers. Grafana is slow with thousands, and so is a person."""

Rows: TypeAlias = Sequence[tuple[str, Sequence[Builder[models.Panel]]]]
"""Rows as pairs of title and panels; the first row may have an empty title."""


class Alerts(models.AnnotationQuery):
    """Firing alerts, with the text formats that the SDK's type lacks."""

    def to_json(self) -> dict[str, object]:
        """Return the form that Grafana's Prometheus data source reads."""
        shown = {"titleFormat": "{{alertname}}", "textFormat": "{{cloud}}"}
        return {**super().to_json(), **shown, "tagKeys": "severity", "step": "60s"}


class AlertsBuilder(Builder[models.AnnotationQuery]):
    """Builder of the annotation of alerts, including alerts without a cloud or an image.

    There is one per alert and cloud, however many images it is about.
    """

    def __init__(self, matchers: str) -> None:
        self._matchers = matchers

    def build(self) -> models.AnnotationQuery:
        """Return the annotation as a model."""
        alerts = 'alertname=~"OpenStackImage.*", alertstate="firing"'
        return Alerts(
            name="Alerts",
            datasource=DATASOURCE,
            icon_color=BAD,
            expr=f"max by (alertname, severity, cloud) (ALERTS{{{alerts}, {self._matchers}}})",
        )


def datasource() -> builders.DatasourceVariable:
    """Return the variable that selects the Prometheus data source."""
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus")


def choice(name: str, title: str, query: str) -> builders.QueryVariable:
    """Return a variable with the values that Prometheus has in the time range.

    Grafana recognizes ``query_result`` in a single line only.
    """
    return (
        builders.QueryVariable(name)
        .label(title)
        .datasource(DATASOURCE)
        .query(" ".join(query.split()))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def choices(name: str, title: str, query: str) -> builders.QueryVariable:
    """Return a multi-value variable, with all values selected at first."""
    return (
        choice(name, title, query)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(models.VariableOption(text="All", value="$__all"))
    )


def search(name: str, images: str) -> builders.TextBoxVariable:
    """Return a variable with the text by which images are searched."""
    return (
        builders.TextBoxVariable(name)
        .label("Search")
        .description(f"Part of the alias, the ID or the name of {images}; a regular expression.")
        .default_value("")
    )


LIMIT = (
    builders.CustomVariable("limit")
    .label("Images at most")
    .description("The images with the worst states are listed; the numbers are about all images.")
    .values("20,50,100,200")
    .current(models.VariableOption(text="50", value="50"))
)
"""The variable with the number of images that the overview lists."""

_IMAGE_PARTS = r'/image="(?<text>.*)",\s*image_id="(?<value>[^"]+)"/'
"""The alias of an image, which a variable shows, and its ID, which is the value."""


def shown() -> builders.QueryVariable:
    """Return the variable of the images that the overview lists: the worst that match."""
    worst = f"topk($limit, {ALL.matching(rank(ALL), 'search')})"
    variable = choice("shown", "Images", f"query_result({worst})").regex(_IMAGE_PARTS)
    everything = models.VariableOption(text="All", value="$__all")
    return variable.multi(True).include_all(True).current(everything)


def image() -> builders.QueryVariable:
    """Return the variable of one image; the worst that match can be chosen."""
    worst = f"topk({CHOICES}, {ALL.matching(rank(ALL), 'find')})"
    return choice("image", "Image", f"query_result({worst})").regex(_IMAGE_PARTS)


VARIABLES = (
    datasource(),
    choices("job", "Job", "label_values(openstack_image_exporter_build_info, job)"),
    choices(
        "instance",
        "Instance",
        'label_values(openstack_image_exporter_build_info{job=~"$job"}, instance)',
    ),
    choices(
        "cloud", "Cloud", f"label_values(openstack_image_exporter_targets{{{PROCESS}}}, cloud)"
    ),
)
"""Variables of every dashboard, each filtered by those before it."""


def board(
    uid: str,
    title: str,
    description: str,
    rows: Rows,
    *,
    variables: Sequence[Builder[models.VariableModel]] = (),
    alerts: str = 'cloud=~"$cloud|"',
) -> models.Dashboard:
    """Return a dashboard.

    Args:
        uid: fixed ID, part of its URL.
        title: title, with the folder before a slash.
        description: one sentence.
        rows: rows of panels.
        variables: variables in addition to those of every dashboard.
        alerts: matchers of the alerts that are shown as annotations.
    """
    link = (
        builders.DashboardLink("OpenStack images")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .icon("external link")
        .include_vars(True)
        .keep_time(True)
    )
    dashboard = (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG, "openstack", "prometheus"])
        .readonly()
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("1m")
        .link(link)
        .annotation(AlertsBuilder(alerts))
        .variables([*VARIABLES, *variables])
    )
    for name, panels in rows:
        if name:
            dashboard.with_row(builders.Row(name))
        for panel in panels:
            dashboard.with_panel(panel)
    return _with_panel_ids(dashboard.build())


def _with_panel_ids(dashboard: models.Dashboard) -> models.Dashboard:
    """Give each panel and row an ID, which the SDK does not set."""
    for number, panel in enumerate(dashboard.panels or (), start=1):
        panel.id_val = number
    return dashboard


def text(dashboard: models.Dashboard) -> str:
    """Return the dashboard as JSON. Its ID is null, since each server assigns its own."""
    document = json.loads(json.dumps(dashboard, cls=JSONEncoder))
    return json.dumps({"id": None, **document}, indent=2, ensure_ascii=False) + "\n"
