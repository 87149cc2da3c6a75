"""The dashboards: their JSON is up to date, follows conventions, and its queries are valid."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.generate import colors, prometheusrule
from dashboards.generate.__main__ import FILES, HOME, main
from dashboards.generate.board import TAG, text
from dashboards.generate.panels import BARS, RATE_STEP
from dashboards.generate.states import BY_NUMBER
from exporter.metrics.cloud_metrics import CLOUD_FAMILIES
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.image_metrics import IMAGE_FAMILIES
from exporter.model.image import DELETED_STATUSES, STATUSES
from tests.dashboards.queries import Query, boards, panels, queries, variables

PROMETHEUS_METRICS = {"ALERTS", "scrape_duration_seconds", "scrape_samples_scraped", "up"}
"""Metrics that Prometheus generates itself."""

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


def served_metrics() -> set[str]:
    """Return the names of all samples that the exporter can serve."""
    exporter_metrics = ExporterMetrics("0")
    exporter_metrics.add_cloud("c")
    counters = {
        sample.name for family in exporter_metrics.registry.collect() for sample in family.samples
    }
    tables = {family.name for family in IMAGE_FAMILIES} | {family.name for family in CLOUD_FAMILIES}
    return tables | counters


@pytest.mark.parametrize("name", FILES)
def test_json_files_are_up_to_date(name: str) -> None:
    """``python -m dashboards.generate`` writes them."""
    assert (HOME / name).read_text("utf-8") == text(FILES[name]())


def test_generator_writes_every_dashboard_and_the_kubernetes_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboards.generate.__main__.HOME", tmp_path)
    monkeypatch.setattr(prometheusrule, "FILE", tmp_path / "prometheusrule.yaml")
    main()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*FILES, "prometheusrule.yaml"}


@every_board
def test_dashboard_can_be_provisioned(board: dict[str, Any]) -> None:
    """It has a fixed uid, no ID of a server, no inputs, and is not editable."""
    assert re.fullmatch(r"openstack-images-[a-z]+", board["uid"])
    assert board["id"] is None
    assert board["editable"] is False
    assert "__inputs" not in board
    assert board["tags"][0] == TAG
    assert board["description"]
    assert board["graphTooltip"] == 1


@every_board
def test_data_source_is_a_variable(board: dict[str, Any]) -> None:
    variable = {"type": "prometheus", "uid": "${datasource}"}
    first = board["templating"]["list"][0]
    assert (first["name"], first["label"], first["type"]) == (
        "datasource",
        "Data source",
        "datasource",
    )
    others = [other for other in board["templating"]["list"][1:] if other["type"] == "query"]
    elements = [*panels(board), *others, *board["annotations"]["list"]]
    assert [element for element in elements if element["datasource"] != variable] == []


@every_board
def test_variables_are_chained(board: dict[str, Any]) -> None:
    """Job, instance and cloud allow several values, and each is narrowed by those before it."""
    variables = board["templating"]["list"][1:]
    names = [variable["name"] for variable in variables]
    assert names[:3] == ["job", "instance", "cloud"]
    for index, variable in enumerate(variables):
        if variable["type"] == "query":
            assert variable["refresh"] == 2, "when the time range changes"
            assert set(re.findall(r"\$(\w+)", variable["query"])) == set(names[:index])
            assert "\n" not in variable["query"], "Grafana does not recognize query_result"
    for variable in variables[:3]:
        assert (variable["multi"], variable["includeAll"]) == (True, True)
        assert variable["allValue"] == ".+"


@every_board
def test_links_to_the_other_dashboards_keep_time_and_variables(board: dict[str, Any]) -> None:
    (link,) = board["links"]
    assert (link["type"], link["tags"]) == ("dashboards", [TAG])
    assert link["includeVars"]
    assert link["keepTime"]


@every_board
def test_panels_have_unique_ids_and_do_not_overlap(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (position["x"] + x, position["y"] + y)
        for position in (panel["gridPos"] for panel in board["panels"])
        for x in range(position["w"])
        for y in range(position["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


@every_panel
def test_panel_has_title_description_unit_and_text_without_data(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["noValue"]


@every_panel
def test_references_to_queries_of_a_panel_are_valid(panel: dict[str, Any]) -> None:
    names = [target["refId"] for target in panel["targets"]]
    assert names == sorted(set(names))
    used = [
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["id"] == "byFrameRefID"
    ]
    used += [
        transformation["filter"]["options"]
        for transformation in panel.get("transformations", ())
        if "filter" in transformation
    ]
    assert set(used) <= set(names)


@every_panel
def test_links_of_tables_lead_to_existing_dashboards(panel: dict[str, Any]) -> None:
    properties = [
        prop for override in panel["fieldConfig"]["overrides"] for prop in override["properties"]
    ]
    urls = [link["url"] for prop in properties if prop["id"] == "links" for link in prop["value"]]
    uids = {board["uid"] for board in boards().values()}
    assert {url.split("/")[2] for url in urls} <= uids


@every_panel
def test_table_cell_without_a_value_is_a_dash(panel: dict[str, Any]) -> None:
    """The text for missing data would fill every empty cell."""
    if panel["type"] == "table":
        first = panel["fieldConfig"]["overrides"][0]
        assert first["matcher"] == {"id": "byRegexp", "options": "/.*/"}
        assert first["properties"] == [{"id": "noValue", "value": "-"}]


@every_panel
def test_labels_in_tables_are_text(panel: dict[str, Any]) -> None:
    """A version or a digest that looks like a number must not be rounded."""
    if panel["type"] == "table":
        labels = panel["transformations"][-1]["options"]["renameByName"].values()
        units = {
            override["matcher"]["options"]: prop["value"]
            for override in panel["fieldConfig"]["overrides"]
            for prop in override["properties"]
            if prop["id"] == "unit"
        }
        assert labels
        assert {units[label] for label in labels} == {"string"}


def test_table_of_images_links_to_the_dashboard_of_each_image() -> None:
    (table,) = (
        panel
        for panel in panels(boards()["overview.json"])
        if panel["title"] == "Images, worst first"
    )
    (link,) = re.findall(r"/d/openstack-images-image/[^']+", str(table["fieldConfig"]))
    for variable in ("${datasource:", "${job:", "${instance:", "${__url_time_range}"):
        assert variable in link
    columns = {override["matcher"]["options"] for override in table["fieldConfig"]["overrides"]}
    assert {"ID", "Cloud"} <= columns
    assert "var-cloud=${__data.fields.Cloud:" in link
    assert "var-image=${__data.fields.ID:" in link
    assert "var-find=${__data.fields.ID:" in link, "the variable offers a few images only"


@every_query
def test_queries_use_existing_metrics(query: Query) -> None:
    named = re.findall(r"([A-Za-z_:][\w:]*)(?=\{)|(?<=label_values\()(\w+)", query.text)
    used = {name for pair in named for name in pair if name}
    assert used
    assert used <= served_metrics() | PROMETHEUS_METRICS


@every_query
def test_metrics_of_every_program_are_restricted_to_exporters(query: Query) -> None:
    named = set(re.findall(r"([A-Za-z_:][\w:]*)(?=\{)", query.text)) - {"ALERTS"}
    if any(not name.startswith("openstack_image_") for name in named):
        assert "and on (job" in query.text
        assert "openstack_image_exporter_build_info" in named


@every_query
def test_rates_use_the_rate_interval_of_grafana(query: Query) -> None:
    windows = set(re.findall(r"\[(.+?)\]", query.text))
    assert windows <= {"$__rate_interval", "$__range"}
    assert "rate(" not in query.text or windows == {"$__rate_interval"}
    assert set(re.findall(r"offset ([$\w]+)", query.text)) <= {"$__interval"}


@every_panel
def test_rates_have_a_minimum_step_and_other_queries_none(panel: dict[str, Any]) -> None:
    """Grafana derives ``$__rate_interval`` from it. It would widen the bars of a panel."""
    for target in panel["targets"]:
        has_step = "$__rate_interval" in target["expr"]
        assert (target.get("interval") == RATE_STEP) is has_step


@every_query
def test_queries_of_images_are_aggregated_or_about_few(query: Query) -> None:
    """A query that returns every image would be too expensive with thousands of them."""
    names = set(re.findall(r"(openstack_image_\w+)\{", query.text))
    if names & {family.name for family in IMAGE_FAMILIES}:
        is_about_few = any(part in query.text for part in ("${shown:pipe}", '="$image"', "topk("))
        assert is_about_few or re.match(r"(sum|count)( by \(cloud\))? ?\(", query.text)


@every_query
def test_queries_do_not_need_the_metric_of_each_status(query: Query) -> None:
    """It has ten series of each image, so operators of many images leave it out."""
    assert "openstack_image_status{" not in query.text


@every_query
def test_listed_images_are_selected_without_parentheses(query: Query) -> None:
    """Prometheus looks up ``a|b``, but matches ``(a|b)`` with the ID of every image."""
    assert "$shown" not in query.text


@every_panel
def test_counts_are_exact(panel: dict[str, Any]) -> None:
    """10,400 images are not 10.4 K."""
    if panel["type"] in {"stat", "table"}:
        assert panel["fieldConfig"]["defaults"]["unit"] != "short"


@every_panel
def test_bars_are_few_enough_to_be_seen(panel: dict[str, Any]) -> None:
    style = panel["fieldConfig"]["defaults"].get("custom", {}).get("drawStyle")
    assert panel.get("maxDataPoints") == (BARS if style == "bars" else None)


@every_query
def test_selectors_are_narrowed_by_the_variables(query: Query) -> None:
    selectors = re.findall(r"\{(.*?)\}", query.text)
    if query.element not in {"job", "Alerts"}:
        assert selectors
        assert [selector for selector in selectors if "$job" not in selector] == []


@every_query
def test_labels_that_the_api_influences_come_from_info_metrics(query: Query) -> None:
    words = r"\b(name|project_id|visibility|disk_format|container_format|digest|value)\b"
    assert not re.search(words, query.text) or "_info{" in query.text


def test_every_query_parses(tmp_path: Path, promtool: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.filled(image="i")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), "utf-8")
    process = subprocess.run(
        [promtool, "check", "rules", "--lint=none", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr


def channels(color: str) -> tuple[int, int, int]:
    """Return red, green and blue of ``#RRGGBB``."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def luminance(color: str) -> float:
    """Return the relative luminance of a colour as defined by WCAG 2."""
    parts = [part / 255 for part in channels(color)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    "color", sorted({value for name, value in vars(colors).items() if name.isupper()})
)
def test_text_on_a_colour_has_the_contrast_of_wcag_2(color: str) -> None:
    brightness = sum(
        share * part for share, part in zip((0.299, 0.587, 0.114), channels(color), strict=True)
    )
    text_color = "#202226" if brightness > 180 else "#F7F8FA"
    darker, lighter = sorted((luminance(color), luminance(text_color)))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_every_status_of_an_existing_image_has_a_state() -> None:
    assert (set(STATUSES) | {"unknown"}) - DELETED_STATUSES <= {
        state.text for state in BY_NUMBER.values()
    }
