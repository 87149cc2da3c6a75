"""The dashboards: their JSON is what the code makes, keeps to conventions, and can be asked."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.generate import colors, prometheusrule
from dashboards.generate.__main__ import FILES, HOME, main
from dashboards.generate.board import TAG, text
from dashboards.generate.states import BY_NUMBER
from exporter.metrics.cloud_metrics import CLOUD_FAMILIES
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.image_metrics import IMAGE_FAMILIES
from exporter.model.image import DELETED_STATUSES, STATUSES
from tests.dashboards.queries import Query, boards, panels, queries, variables

OF_PROMETHEUS = {"ALERTS", "scrape_duration_seconds", "scrape_samples_scraped", "up"}
"""Series that Prometheus makes itself."""

every_board = pytest.mark.parametrize("board", boards().values(), ids=boards())
every_panel = pytest.mark.parametrize(
    "panel",
    [
        pytest.param(panel, id=f"{name}: {panel['title']}")
        for name, board in boards().items()
        for panel in panels(board)
    ],
)
every_query = pytest.mark.parametrize("query", [*queries(), *variables()], ids=str)


def metrics() -> set[str]:
    """The names of all samples that the exporter can serve, by its tables."""
    instruments = ExporterMetrics("0")
    instruments.add_cloud("c")
    counted = {
        sample.name for family in instruments.registry.collect() for sample in family.samples
    }
    tables = {family.name for family in IMAGE_FAMILIES} | {family.name for family in CLOUD_FAMILIES}
    return tables | counted


@pytest.mark.parametrize("name", FILES)
def test_the_json_is_what_the_code_makes(name: str) -> None:
    """No file is stale: python -m dashboards.generate makes them anew."""
    assert (HOME / name).read_text("utf-8") == text(FILES[name]())


def test_all_files_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command writes every dashboard, and the rules as Kubernetes takes them."""
    monkeypatch.setattr("dashboards.generate.__main__.HOME", tmp_path)
    monkeypatch.setattr(prometheusrule, "FILE", tmp_path / "prometheusrule.yaml")
    main()
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {*FILES, "prometheusrule.yaml"}


def test_kubernetes_has_the_same_rules() -> None:
    """The PrometheusRule is made from the rule file and not stale: `make dashboards` makes it."""
    rules = prometheusrule.RULES.read_text("utf-8")
    made = prometheusrule.FILE.read_text("utf-8")
    assert made == prometheusrule.text(rules)
    assert yaml.safe_load(made)["spec"] == yaml.safe_load(rules)


@every_board
def test_a_dashboard_can_be_provisioned(board: dict[str, Any]) -> None:
    """It has a fixed uid, no ID of a server, no inputs to ask for, and is not edited by hand."""
    assert re.fullmatch(r"openstack-images-[a-z]+", board["uid"])
    assert board["id"] is None
    assert board["editable"] is False
    assert "__inputs" not in board
    assert board["tags"][0] == TAG
    assert board["description"]
    assert board["graphTooltip"] == 1


@every_board
def test_the_data_source_is_a_variable(board: dict[str, Any]) -> None:
    """Panels, variables and annotations ask the data source that is chosen."""
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    first = board["templating"]["list"][0]
    assert (first["name"], first["label"], first["type"]) == (
        "datasource",
        "Data source",
        "datasource",
    )
    others = board["templating"]["list"][1:]
    askers = [*panels(board), *others, *board["annotations"]["list"]]
    assert [asker for asker in askers if asker["datasource"] != chosen] == []


@every_board
def test_variables_are_chained(board: dict[str, Any]) -> None:
    """Job, instance and cloud may be several or all, and each is narrowed by those before it."""
    asked = [each for each in board["templating"]["list"] if each["type"] == "query"]
    names = [each["name"] for each in asked]
    assert names[:3] == ["job", "instance", "cloud"]
    for place, variable in enumerate(asked):
        assert variable["refresh"] == 2, "when the time range changes"
        assert set(re.findall(r"\$(\w+)", variable["query"])) == set(names[:place])
    for variable in asked[:3]:
        assert (variable["multi"], variable["includeAll"]) == (True, True)
        assert variable["allValue"] == ".+"


@every_board
def test_dashboards_lead_to_each_other(board: dict[str, Any]) -> None:
    """A link to all dashboards of the bundle keeps time and variables."""
    (link,) = board["links"]
    assert (link["type"], link["tags"]) == ("dashboards", [TAG])
    assert link["includeVars"]
    assert link["keepTime"]


@every_board
def test_panels_do_not_collide(board: dict[str, Any]) -> None:
    """IDs are unique, and so is each place on the grid."""
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in board["panels"])
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


@every_panel
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    """It has a title, a description, a unit, and a sentence for when there is no data."""
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["noValue"]


@every_panel
def test_queries_of_a_panel_have_names(panel: dict[str, Any]) -> None:
    """Each refId stands once, and overrides and transformations speak of those there are."""
    names = [target["refId"] for target in panel["targets"]]
    assert names == sorted(set(names))
    used = [
        each["matcher"]["options"]
        for each in panel["fieldConfig"]["overrides"]
        if each["matcher"]["id"] == "byFrameRefID"
    ]
    used += [
        each["filter"]["options"] for each in panel.get("transformations", ()) if "filter" in each
    ]
    assert set(used) <= set(names)


@every_panel
def test_links_lead_somewhere(panel: dict[str, Any]) -> None:
    """A link from a row of a table goes to a dashboard of the bundle."""
    properties = [
        each for override in panel["fieldConfig"]["overrides"] for each in override["properties"]
    ]
    urls = [link["url"] for each in properties if each["id"] == "links" for link in each["value"]]
    uids = {board["uid"] for board in boards().values()}
    assert {url.split("/")[2] for url in urls} <= uids


@every_panel
def test_a_cell_without_a_value_is_almost_empty(panel: dict[str, Any]) -> None:
    """In a table, the sentence for when there is no data does not stand in every empty cell."""
    if panel["type"] == "table":
        first = panel["fieldConfig"]["overrides"][0]
        assert first["matcher"] == {"id": "byRegexp", "options": "/.*/"}
        assert first["properties"] == [{"id": "noValue", "value": "-"}]


@every_panel
def test_labels_are_text(panel: dict[str, Any]) -> None:
    """A label that looks like a number, a version or a digest, is not rounded like one."""
    if panel["type"] == "table":
        labels = panel["transformations"][-1]["options"]["renameByName"].values()
        units = {
            override["matcher"]["options"]: each["value"]
            for override in panel["fieldConfig"]["overrides"]
            for each in override["properties"]
            if each["id"] == "unit"
        }
        assert labels
        assert {units[label] for label in labels} == {"string"}


def test_the_table_of_images_leads_to_each() -> None:
    """A row's link names the image and its cloud, and keeps what else was chosen."""
    (table,) = (each for each in panels(boards()["overview.json"]) if each["title"] == "All images")
    (link,) = re.findall(r"/d/openstack-images-image/[^']+", str(table["fieldConfig"]))
    for kept in ("${datasource:", "${job:", "${instance:", "${__url_time_range}"):
        assert kept in link
    shown = {each["matcher"]["options"] for each in table["fieldConfig"]["overrides"]}
    assert {"ID", "Cloud"} <= shown
    assert "var-cloud=${__data.fields.Cloud:" in link
    assert "var-image=${__data.fields.ID:" in link


@every_query
def test_queries_use_metrics_that_exist(query: Query) -> None:
    """Every metric of a query is one that the exporter, or Prometheus itself, can serve."""
    named = re.findall(r"([A-Za-z_:][\w:]*)(?=\{)|(?<=label_values\()(\w+)", query.text)
    used = {name for pair in named for name in pair if name}
    assert used
    assert used <= metrics() | OF_PROMETHEUS


@every_query
def test_what_every_program_has_is_asked_of_exporters(query: Query) -> None:
    """Where all jobs are chosen, only a metric that no other program has is asked by itself."""
    named = set(re.findall(r"([A-Za-z_:][\w:]*)(?=\{)", query.text)) - {"ALERTS"}
    if any(not name.startswith("openstack_image_") for name in named):
        assert "and on (job" in query.text
        assert "openstack_image_exporter_build_info" in named


@every_query
def test_rates_take_the_interval_that_fits(query: Query) -> None:
    """A rate is over what Grafana knows to hold enough samples, or over the whole range."""
    windows = set(re.findall(r"\[(.+?)\]", query.text))
    assert windows <= {"$__rate_interval", "$__range"}
    assert "rate(" not in query.text or windows == {"$__rate_interval"}


@every_query
def test_queries_are_about_what_is_chosen(query: Query) -> None:
    """Every selector is narrowed by the variables, but for that of the first."""
    selectors = re.findall(r"\{(.*?)\}", query.text)
    if query.asker not in {"job", "Alerts"}:
        assert selectors
        assert [each for each in selectors if "$job" not in each] == []


@every_query
def test_names_of_images_come_from_info_only(query: Query) -> None:
    """A label that the API has a say in is asked of info metrics only."""
    words = r"\b(name|project_id|visibility|disk_format|container_format|digest|value)\b"
    assert not re.search(words, query.text) or "_info{" in query.text


def test_every_query_parses(tmp_path: Path, promtool: Path) -> None:
    """Prometheus can read each query."""
    rules = [
        {"record": f"query:{number}", "expr": query.filled(image="i")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), "utf-8")
    checked = subprocess.run(
        [promtool, "check", "rules", "--lint=none", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def channels(color: str) -> tuple[int, int, int]:
    """Red, green and blue of ``#RRGGBB``."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def luminance(color: str) -> float:
    """How light a colour is, after WCAG 2."""
    parts = [part / 255 for part in channels(color)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    "color", sorted({value for name, value in vars(colors).items() if name.isupper()})
)
def test_text_on_a_colour_can_be_read(color: str) -> None:
    """What Grafana writes on it has the contrast that WCAG 2 asks for."""
    brightness = sum(
        share * part for share, part in zip((0.299, 0.587, 0.114), channels(color), strict=True)
    )
    text_color = "#202226" if brightness > 180 else "#F7F8FA"
    darker, lighter = sorted((luminance(color), luminance(text_color)))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_every_status_has_a_state() -> None:
    """No status of a living image is left out, so that no image is without a state."""
    assert (set(STATUSES) | {"unknown"}) - DELETED_STATUSES <= {
        state.text for state in BY_NUMBER.values()
    }
