"""What all dashboards share: variables, links, annotations, and their form as JSON."""

import json
from collections.abc import Sequence
from typing import TypeAlias

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.generate.colors import BAD
from dashboards.generate.panels import DATASOURCE
from dashboards.generate.promql import CLOUDS, PROCESS

TAG = "openstack-images"
"""Every dashboard has it, and links to all others that do."""

Rows: TypeAlias = Sequence[tuple[str, Sequence[Builder[models.Panel]]]]
"""The title of each row, and its panels; the first row may go without a title."""


class Alerts(models.AnnotationQuery):
    """Firing alerts, with what the SDK's type lacks: what to say of each."""

    def to_json(self) -> dict[str, object]:
        """As Grafana's Prometheus data source reads it."""
        shown = {"titleFormat": "{{alertname}}", "textFormat": "{{cloud}} {{image}}"}
        return {**super().to_json(), **shown, "tagKeys": "severity", "step": "15s"}


class AlertsBuilder(Builder[models.AnnotationQuery]):
    """The annotation of alerts; those that are not about a cloud or an image are shown too."""

    def __init__(self, matchers: str) -> None:
        self._matchers = matchers

    def build(self) -> models.AnnotationQuery:
        """The annotation as a model."""
        alerts = 'alertname=~"OpenStackImage.*", alertstate="firing"'
        return Alerts(
            name="Alerts",
            datasource=DATASOURCE,
            icon_color=BAD,
            expr=f"ALERTS{{{alerts}, {self._matchers}}}",
        )


def datasource() -> builders.DatasourceVariable:
    """The variable that says which Prometheus is asked."""
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus")


def choice(name: str, title: str, query: str) -> builders.QueryVariable:
    """A variable of the values that Prometheus knows in the time range."""
    return (
        builders.QueryVariable(name)
        .label(title)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def choices(name: str, title: str, query: str) -> builders.QueryVariable:
    """A variable of which several or all values may be chosen, as all are at first."""
    return (
        choice(name, title, query)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(models.VariableOption(text="All", value="$__all"))
    )


def image() -> builders.QueryVariable:
    """The variable of one image: the alias is shown, the ID is the value."""
    return choice("image", "Image", f"query_result(openstack_image_target_info{{{CLOUDS}}})").regex(
        r'/image="(?<text>.*)",\s*image_id="(?<value>[^"]+)"/'
    )


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
"""On every dashboard, each narrowed by those before it."""


def board(
    uid: str,
    title: str,
    description: str,
    rows: Rows,
    *,
    variables: Sequence[builders.QueryVariable] = (),
    alerts: str = 'cloud=~"$cloud|"',
) -> models.Dashboard:
    """A dashboard; ``variables`` come after those of all, ``alerts`` says which are marked."""
    link = (
        builders.DashboardLink("OpenStack images")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .icon("external link")
        .include_vars(True)
        .keep_time(True)
    )
    made = (
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
            made.with_row(builders.Row(name))
        for panel in panels:
            made.with_panel(panel)
    return _numbered(made.build())


def _numbered(made: models.Dashboard) -> models.Dashboard:
    """Gives each panel and row an ID, which the SDK leaves to its user."""
    for number, panel in enumerate(made.panels or (), start=1):
        panel.id_val = number
    return made


def text(made: models.Dashboard) -> str:
    """The dashboard as JSON; its ID, which is a server's own, is null."""
    document = json.loads(json.dumps(made, cls=JSONEncoder))
    return json.dumps({"id": None, **document}, indent=2, ensure_ascii=False) + "\n"
