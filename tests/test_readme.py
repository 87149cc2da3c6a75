"""The examples of the documents: settings, commands, output, queries and pages."""

import json
import logging
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import parse as parse_promql

from exporter.cli import COMMANDS
from exporter.config import parse, resolved_clouds, resolved_shard
from exporter.demo.events import EVENTS
from exporter.demo.images import IMAGES
from exporter.logs import FORMATTERS
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.sharding import Shard
from exporter.model.target import Target
from exporter.polling.event_log import CloudEventLog
from exporter.redaction import Redactor
from exporter.simulator import SimulatedImageService
from exporter.simulator.keystone import SimulatedKeystone
from exporter.store import Store
from exporter.web.pages.image_list import query_images
from exporter.web.pages.json_api import image_list_document, to_ascii_json
from exporter.web.pages.query import Query
from exporter.web_security import load_security
from tests.dashboards.alert_table import alerts
from tests.dashboards.alert_table import rules as all_rules
from tests.readme_tables import PREFIX
from tests.support.documents import (
    FILE,
    TEXT,
    blocks,
    files,
    section,
    table_names,
    table_paths,
)
from tests.support.images import ACTIVE, MAX_STALE, START
from tests.support.program import ROOT, run_program, start_program
from tests.support.wait import wait_until
from tests.support.web_config import WebConfigFolder

OWN_EXAMPLES = ("README.md", "CONFIGURATION.md", "METRICS.md", "OPERATIONS.md")
"""The documents whose examples this module tests; ``tests/k8s`` tests those of Kubernetes."""
METRIC = re.compile(rf"\b{PREFIX}\w+")
WITHOUT_KEYSTONE = {"Token file": "a-token", "No Keystone": None}
RECIPES = ("Password", "Application credential", "Environment variables", *WITHOUT_KEYSTONE)


def shell_lines() -> list[str]:
    """Return the shell commands of the documents."""
    return [
        line
        for document in OWN_EXAMPLES
        for block in blocks(TEXT[document], "sh")
        for line in block.splitlines()
    ]


def exported(text: str) -> dict[str, str]:
    """Return the variables that the shell blocks export."""
    words = [shlex.split(line) for block in blocks(text, "sh") for line in block.splitlines()]
    return dict(word.split("=", 1) for command, word in words if command == "export")


def write(folder: Path, examples: Mapping[str, str], changes: Mapping[str, str]) -> None:
    """Write the files, with the placeholders for a reader's own values replaced."""
    for name, example in examples.items():
        text = example
        for old, new in changes.items():
            text = text.replace(old, new)
        (folder / name).write_text(text, "utf-8")


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Run a simulated service with the images of the demo."""
    with SimulatedImageService(IMAGES.values()) as service:
        yield service


def yaml_examples() -> list[str]:
    """Return the YAML blocks of the documents that this module tests."""
    return [code for document in OWN_EXAMPLES for code in blocks(TEXT[document], "yaml")]


@pytest.mark.parametrize("code", yaml_examples())
def test_yaml_blocks_name_their_file(code: str) -> None:
    name = FILE.match(code)
    assert name
    assert name[1] in {
        "exporter.yml",
        "clouds.yaml",
        "secure.yaml",
        "prometheus.yml",
        "rules.yml",
        "statefulset.yml",
        "deployment.yml",
        "servicemonitor.yml",
        "web.yml",
        ".github/workflows/images.yml",
        ".pre-commit-config.yaml",
    }
    assert yaml.safe_load(code)


@pytest.mark.parametrize(
    "code", [code for code in yaml_examples() if code.startswith("# exporter.yml")]
)
def test_settings_examples_are_valid(code: str, tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text(code, "utf-8")
    plans = resolved_clouds(parse([f"--config.file={path}"], {}).settings)
    assert len(plans) == len(yaml.safe_load(code)["clouds"])


def test_web_configuration_example_is_valid(tmp_path: Path) -> None:
    folder = WebConfigFolder(tmp_path)
    for name, of in (("tls.crt", "cert.pem"), ("tls.key", "key.pem"), ("ca.crt", "ca.pem")):
        (tmp_path / of).rename(tmp_path / name)
    protection = load_security(
        folder.write(files(section("CONFIGURATION.md", "TLS and passwords"))["web.yml"])
    ).config
    assert protection.tls
    assert protection.users
    assert protection.rate_limit
    assert protection.headers


def test_pods_of_the_statefulset_example_are_its_shards(tmp_path: Path) -> None:
    code = files(section("OPERATIONS.md", "Sharding"))["statefulset.yml"]
    index, total = yaml.safe_load(code)["env"]
    assert index["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    write(tmp_path, files(section("README.md", "Set it up")), {})
    for number, pod in enumerate(("exporter-0", "exporter-1", "exporter-2")):
        environ = {index["name"]: pod, total["name"]: total["value"]}
        read = parse([f"--config.file={tmp_path / 'exporter.yml'}"], environ)
        assert resolved_shard(read.settings) == Shard(number, 3)


def test_command_lines_are_valid_and_every_command_is_in_the_table(tmp_path: Path) -> None:
    write(tmp_path, files(section("README.md", "Set it up")), {})
    lines = [line for line in shell_lines() if line.startswith("openstack-image-exporter")]
    assert lines
    for line in lines:
        command = re.sub(r"exporter(\.new)?\.yml", str(tmp_path / "exporter.yml"), line)
        argv = shlex.split(command)[1:]
        assert parse(argv, {}).command in COMMANDS
    assert table_names(section("OPERATIONS.md", "Commands")) == set(COMMANDS)


def test_python_version_and_command_are_those_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'requires-python = ">=3.11"' in project
    assert 'openstack-image-exporter = "exporter.__main__:main"' in project
    assert "Python 3.11 or newer" in section("README.md", "Install")


def test_output_of_check_is_the_table_shown(service: SimulatedImageService, tmp_path: Path) -> None:
    service.images.change(IMAGES["ci-runner"].id, status="deactivated")
    service.images.delete(IMAGES["k8s-node"].id)
    shown = section("README.md", "Set it up")
    write(tmp_path, files(shown), {"    cloud: mycloud ": f"    endpoint: {service.url} "})
    process = run_program(tmp_path, "check", "--config.file=exporter.yml")
    printed = [line.rstrip() for line in process.stdout.splitlines()]
    assert blocks(shown, "text")[0].splitlines() == printed
    assert process.returncode == 1


def shape(document: object) -> object:
    """Return the keys of a document in their order, without those that depend on the cloud."""
    if isinstance(document, list):
        return [shape(item) for item in document[:1]]
    if isinstance(document, dict):
        variable = ("labels", "digests", "properties", "expected", "actual", "aliases")
        return {key: None if key in variable else shape(value) for key, value in document.items()}
    return None


def test_api_responses_have_exactly_the_fields_shown() -> None:
    (shown,) = blocks(section("OPERATIONS.md", "Images as JSON"), "json")
    store = Store()
    target = Target("mycloud", "an-id", "golden", expect=(("protected", True),))
    state = CloudState(
        "mycloud", 60.0, discovery_interval=300.0, discovery_failure=Failed("timeout")
    )
    store.add_cloud(state, [target])
    observation = NEVER_POLLED
    for outcome in (Found(ACTIVE), Found(replace(ACTIVE, name="other")), Failed("timeout")):
        observation = observation.with_outcome(outcome, START, MAX_STALE)
    store.observe(target.key, observation)
    response = json.loads(to_ascii_json(image_list_document(query_images(store, Query(), START))))
    assert shape(json.loads(shown)) == shape(response)
    parameters = section("OPERATIONS.md", "Images as JSON").split("end of parameters")[0]
    assert table_names(parameters) == set(Query.model_fields)


def test_json_output_of_check_is_the_document_shown(
    service: SimulatedImageService, tmp_path: Path
) -> None:
    service.images.change(IMAGES["ci-runner"].id, status="deactivated")
    changes = {"    cloud: mycloud ": f"    endpoint: {service.url} "}
    write(tmp_path, files(section("README.md", "Set it up")), changes)
    process = run_program(tmp_path, "check", "--config.file=exporter.yml", "--format=json")
    printed, shown = (
        json.loads(process.stdout),
        json.loads(blocks(section("CONFIGURATION.md", "Check as JSON"), "json")[0]),
    )
    (image,) = [entry for entry in printed["images"] if entry["image"] == "ci-runner"]
    (example,) = shown["images"]
    assert {key: image[key] for key in example} == example
    assert printed.keys() == shown.keys()
    assert printed["expectations"].keys() == shown["expectations"].keys()


@pytest.mark.parametrize("recipe", RECIPES)
def test_sign_in_recipes_sign_in(
    recipe: str, service: SimulatedImageService, tmp_path: Path
) -> None:
    text = section("CONFIGURATION.md", recipe)
    (tmp_path / "token").write_text("a-token\n", "utf-8")
    with SimulatedKeystone() as keystone:
        keystone.users = {"image-exporter": "the password"}
        keystone.application_credentials = {"1b0d2a7c5f6e4d9c8a3b7e6f5d4c3b2a": "the secret"}
        keystone.offer_image(service.url)
        values = {
            "https://keystone.example.com/v3": keystone.auth_url,
            "https://image.example.com": service.url,
            "http://127.0.0.1:9292": service.url,
        }
        write(tmp_path, files(text), values)
        environ = {name: values.get(value, value) for name, value in exported(text).items()}
        process = run_program(tmp_path, "check", "--config.file=exporter.yml", environ=environ)
        assert (process.returncode, process.stderr) == (0, "")
        (polled,) = (record for record in service.log.records if record.method == "HEAD")
        token = polled.request.headers.get("x-auth-token")
        if recipe in WITHOUT_KEYSTONE:
            assert token == WITHOUT_KEYSTONE[recipe]
        else:
            assert keystone.accepts(token)


def queries() -> list[str]:
    """Return the PromQL of the examples, of the own alert, and of the table for newcomers."""
    table = re.findall(r"\| `(.+)` \|$", section("METRICS.md", "PromQL examples"), re.MULTILINE)
    (group,) = yaml.safe_load(files(section("METRICS.md", "Write your own alerts"))["rules.yml"])[
        "groups"
    ]
    shown = blocks(TEXT["METRICS.md"], "promql")
    return [*table, *shown, *(rule["expr"] for rule in group["rules"])]


@pytest.mark.parametrize("query", queries())
def test_queries_are_valid_and_use_existing_metrics(query: str) -> None:
    parse_promql(query)
    names = {name.removesuffix("_bucket") for name in METRIC.findall(query)}
    assert names
    assert names <= table_names(section("METRICS.md", "All metrics"))


@pytest.mark.parametrize(
    ("document", "name"), [("README.md", "Set it up"), ("OPERATIONS.md", "Pages")]
)
def test_own_alert_and_scrape_configuration_are_valid(
    document: str, name: str, tmp_path: Path, promtool: Path
) -> None:
    examples = files(section("METRICS.md", "Write your own alerts"))
    write(tmp_path, {**examples, **files(section(document, name))}, {})
    process = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def metrics_behind(expression: str) -> set[str]:
    """Return the metrics that an expression reads, also by recording rules."""
    records = {rule["record"]: rule["expr"] for rule in all_rules() if "record" in rule}
    expressions, seen = [expression], set[str]()
    while expressions:
        text = expressions.pop()
        used = {name for name in records if name in text and name not in seen}
        seen |= used | set(METRIC.findall(text))
        expressions += [records[name] for name in used]
    return seen


def test_ten_metrics_to_alert_on_fire_the_alerts_beside_them() -> None:
    text = section("README.md", "The ten metrics to alert on")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) == 10
    for metric, names in rows:
        for name in names.split(", "):
            assert metric in metrics_behind(alerts()[name]["expr"]), (metric, name)


def test_names_of_openstack_exporter_are_those_of_the_recording_rules() -> None:
    path = ROOT / "dashboards/openstack-exporter/rules.yml"
    (group,) = yaml.safe_load(path.read_text("utf-8"))["groups"]
    text = section("README.md", "Coming from openstack-exporter")
    rows = {name for name in table_names(text) if not name.startswith("-")}
    assert {rule["record"] for rule in group["rules"]} == rows


def test_demo_serves_the_metrics_and_pages_listed(tmp_path: Path) -> None:
    with start_program(tmp_path, "demo", "--web.listen-address=127.0.0.1:0") as program:
        wait_until(lambda: program.page("/-/ready")[0] == 200)
        pages = table_paths(section("OPERATIONS.md", "Pages"))
        (image, *_) = json.loads(program.page("/api/images")[1])["images"]
        statuses = {path: program.page(path.format(**image))[0] for path in pages}
        assert statuses == dict.fromkeys(pages, 200)
        families = list(text_string_to_metric_families(program.page("/metrics")[1]))
        output = program.stdout
        program.stop()
    served = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in families
        if family.samples
    }
    listed = table_names(section("METRICS.md", "All metrics"))
    # No image has changed yet.
    served.add("openstack_image_last_change_timestamp_seconds")
    assert {name for name in served if name.startswith(PREFIX)} == listed
    assert {name.partition("_")[0] for name in served - listed} == {"process", "python"}

    excerpt, shown_output = (
        next(
            block
            for block in blocks(section("README.md", "Try it"), "text")
            if block.startswith(start)
        )
        for start in (PREFIX, "demo: ")
    )
    series = {
        (sample.name, *sorted(sample.labels.items()))
        for family in families
        for sample in family.samples
    }
    shown = [
        sample for family in text_string_to_metric_families(excerpt) for sample in family.samples
    ]
    assert len(shown) == len(excerpt.splitlines())
    assert {(sample.name, *sorted(sample.labels.items())) for sample in shown} <= series
    lines = re.sub(r":\d+", ":PORT", shown_output).replace("localhost", "127.0.0.1").splitlines()
    assert re.sub(r":\d+", ":PORT", output).splitlines()[:4] == lines[:4]
    events = [f"demo: {event.line}" for event in EVENTS]
    assert [line for line in events if line in lines] == lines[4:]


@pytest.mark.parametrize(("format_", "start"), [("logfmt", "ts="), ("json", "{")])
def test_log_lines_are_those_of_the_program(
    format_: Literal["logfmt", "json"], start: str, caplog: pytest.LogCaptureFixture
) -> None:
    line = next(
        line
        for document in ("README.md", "OPERATIONS.md")
        for block in blocks(TEXT[document], "text")
        for line in block.splitlines()
        if line.startswith(start) and "image changed" in line
    )
    image_id, now = IMAGES["k8s-node"].id, Instant(0.0, 0.0)
    there = NEVER_POLLED.with_outcome(Found(Image("v1", image_id, "active")), now, 900.0)
    with caplog.at_level(logging.INFO, "exporter"):
        gone = there.with_outcome(Gone(), now, 900.0)
        CloudEventLog("demo").image_polled(Target("demo", image_id, "k8s-node"), gone)
    (record,) = caplog.records
    written = FORMATTERS[format_](Redactor()).format(record)
    time = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
    assert time.sub("TIME", line) == time.sub("TIME", written)
