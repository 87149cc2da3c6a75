"""README.md, CHANGELOG.md and CONTRIBUTING.md: their examples are run, their links resolved."""

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

from exporter import __version__
from exporter.cli import COMMANDS
from exporter.config import parse, resolved_clouds, resolved_shard
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
from exporter.store import Store
from exporter.web.pages.image_list import query_images
from exporter.web.pages.json_api import image_list_document, to_ascii_json
from exporter.web.pages.query import Query
from exporter.web_security import load_security
from tests.readme_tables import PREFIX, README, TABLES, rendered
from tests.support.fakes.keystone import SimulatedKeystone
from tests.support.images import ACTIVE, MAX_STALE, START
from tests.support.program import ROOT, run_program, start_program
from tests.support.wait import wait_until
from tests.support.web_config import WebConfigFolder

TEXT = README.read_text("utf-8")
DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\.?[\w./-]+)\n")
METRIC = re.compile(rf"\b{PREFIX}\w+")
WITHOUT_KEYSTONE = {"Token file": "a-token", "No Keystone": None}
RECIPES = ("Password", "Application credential", "Environment variables", *WITHOUT_KEYSTONE)


def section(title: str) -> str:
    """Return the text under a heading, up to the next one of the same or a higher level."""
    # A comment in a code block looks like a heading.
    plain = BLOCK.sub(lambda block: " " * len(block[0]), TEXT)
    heading = re.search(rf"^(#+) {re.escape(title)}$", plain, re.MULTILINE)
    assert heading, title
    end = re.compile(rf"^#{{1,{len(heading[1])}}} ", re.MULTILINE).search(plain, heading.end())
    return TEXT[heading.end() : end.start() if end else None]


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks in a language."""
    return [block["code"] for block in BLOCK.finditer(text) if block["language"] == language]


def files(text: str) -> dict[str, str]:
    """Return the YAML blocks by the file that their first line names."""
    return {FILE.match(code)[1]: code for code in blocks(text, "yaml")}  # type: ignore[index]  # another test checks it


def table_names(text: str) -> set[str]:
    """Return the code in the first column of the tables."""
    return set(re.findall(r"^\| `([\w.-]+)", text, re.MULTILINE))


def table_paths(text: str) -> list[str]:
    """Return the paths in the first column of the tables."""
    return re.findall(r"^\| `(/[^`]*)`", text, re.MULTILINE)


def shell_lines() -> list[str]:
    """Return the shell commands of the README."""
    return [line for block in blocks(TEXT, "sh") for line in block.splitlines()]


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


def test_tables_are_up_to_date() -> None:
    assert rendered(TEXT) == TEXT, "README.md is stale: make readme"


@pytest.mark.parametrize("name", TABLES)
def test_stale_table_is_replaced(name: str) -> None:
    begin = f"<!-- {name} -->\n"
    assert TEXT.count(begin) == 1
    assert rendered(TEXT.replace(begin, f"{begin}\n| stale |\n")) == TEXT


@pytest.mark.parametrize("damage", ["", "<!-- reasons --><!-- end of reasons -->" * 2])
def test_missing_or_repeated_marker_is_an_error(damage: str) -> None:
    with pytest.raises(ValueError, match=r"the markers of 'reasons' [02] times"):
        rendered(TEXT.replace("<!-- reasons -->", "").replace("<!-- end of reasons -->", damage))


@pytest.mark.parametrize("code", blocks(TEXT, "yaml"))
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
        "web.yml",
        "kustomization.yaml",
        ".github/workflows/images.yml",
        ".pre-commit-config.yaml",
    }
    assert yaml.safe_load(code)


@pytest.mark.parametrize(
    "code", [code for code in blocks(TEXT, "yaml") if code.startswith("# exporter.yml")]
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
    protection = load_security(folder.write(files(TEXT)["web.yml"])).config
    assert protection.tls
    assert protection.users
    assert protection.rate_limit
    assert protection.headers


def test_pods_of_the_statefulset_example_are_its_shards(tmp_path: Path) -> None:
    (code,) = [code for code in blocks(TEXT, "yaml") if code.startswith("# statefulset.yml")]
    index, total = yaml.safe_load(code)["env"]
    assert index["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    write(tmp_path, files(section("Set it up")), {})
    for number, pod in enumerate(("exporter-0", "exporter-1", "exporter-2")):
        environ = {index["name"]: pod, total["name"]: total["value"]}
        read = parse([f"--config.file={tmp_path / 'exporter.yml'}"], environ)
        assert resolved_shard(read.settings) == Shard(number, 3)


def test_command_lines_are_valid_and_every_command_is_in_the_table(tmp_path: Path) -> None:
    write(tmp_path, files(section("Set it up")), {})
    lines = [line for line in shell_lines() if line.startswith("openstack-image-exporter")]
    assert lines
    for line in lines:
        command = re.sub(r"exporter(\.new)?\.yml", str(tmp_path / "exporter.yml"), line)
        argv = shlex.split(command)[1:]
        assert parse(argv, {}).command in COMMANDS
    assert table_names(section("Commands")) == set(COMMANDS)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_exist(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`make (\w+)`", (ROOT / document).read_text("utf-8"))) <= targets


def test_python_version_and_command_are_those_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'requires-python = ">=3.11"' in project
    assert 'openstack-image-exporter = "exporter.__main__:main"' in project
    assert "Python 3.11 or newer" in section("Install")


def test_output_of_check_is_the_table_shown(service: SimulatedImageService, tmp_path: Path) -> None:
    service.images.change(IMAGES["ci-runner"].id, status="deactivated")
    service.images.delete(IMAGES["k8s-node"].id)
    shown = section("Set it up")
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
        variable = ("digests", "properties", "expected", "actual", "aliases")
        return {key: None if key in variable else shape(value) for key, value in document.items()}
    return None


def test_api_responses_have_exactly_the_fields_shown() -> None:
    (shown,) = blocks(section("Images as JSON"), "json")
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
    parameters = section("Images as JSON").split("end of parameters")[0]
    assert table_names(parameters) == set(Query.model_fields)


def test_json_output_of_check_is_the_document_shown(
    service: SimulatedImageService, tmp_path: Path
) -> None:
    service.images.change(IMAGES["ci-runner"].id, status="deactivated")
    changes = {"    cloud: mycloud ": f"    endpoint: {service.url} "}
    write(tmp_path, files(section("Set it up")), changes)
    process = run_program(tmp_path, "check", "--config.file=exporter.yml", "--format=json")
    printed, shown = (
        json.loads(process.stdout),
        json.loads(blocks(section("Check as JSON"), "json")[0]),
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
    text = section(recipe)
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


def rules() -> dict[str, str]:
    """Return the expressions of the alerts shown, by name."""
    (group,) = yaml.safe_load(files(section("Scrape it"))["rules.yml"])["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


@pytest.mark.parametrize("expression", rules().values(), ids=rules())
def test_alerts_use_existing_metrics_that_survive_a_vanished_image(expression: str) -> None:
    """They use no label of the scrape either."""
    metrics = set(METRIC.findall(expression))
    assert metrics
    assert metrics <= table_names(section("Metrics"))
    assert not any(name.endswith("_info") for name in metrics)
    assert "absent" not in expression
    assert len(re.findall(r"\b(?:min|max) by \(cloud\b", expression)) == len(
        METRIC.findall(expression)
    )


SERIES = {
    'exists{cloud="c",image="gone"}': "1x5 0x60",
    'exists{cloud="c",image="unanswered"}': "1x65",
    'poll_success{cloud="c",image="unanswered"}': "0x65",
    'api_up{cloud="c"}': "0x65",
    'exporter_last_cycle_timestamp_seconds{cloud="c"}': "0x65",
    'exporter_cycle_interval_seconds{cloud="c"}': "60x65",
    'poll_success{cloud="d",image="forbidden"}': "0x65",
    'status{cloud="d",image="off",status="active"}': "0x65",
    'status{cloud="d",image="suspended",status="active"}': "0x65",
    'expectation_met{cloud="d",image="suspended",expectation="status"}': "1x65",
    'exists{cloud="d",image="retired"}': "0x65",
    'expectation_met{cloud="d",image="retired",expectation="exists"}': "1x65",
    'content_changes_total{cloud="d",image="replaced"}': "0x50 1x15",
    'expectation_met{cloud="d",image="open",expectation="public"}': "0x65",
    'api_up{cloud="d"}': "1x65",
    'exporter_last_cycle_timestamp_seconds{cloud="d"}': "0+60x65",
    'exporter_cycle_interval_seconds{cloud="d"}': "60x65",
}
"""Series of an hour in two clouds: the API of c is down, that of d is up."""

FIRING = {
    "OpenStackImageGone": 'cloud="c",image="gone"',
    "OpenStackImageApiDown": 'cloud="c"',
    "OpenStackImagePollingStopped": 'cloud="c"',
    "OpenStackImagePollFails": 'cloud="d",image="forbidden"',
    "OpenStackImageNotActive": 'cloud="d",image="off"',
    "OpenStackImageContentChanged": 'cloud="d",image="replaced"',
    "OpenStackImageNotAsExpected": 'cloud="d",image="open"',
}
"""Alerts of that hour with the labels for which they fire."""


def test_each_alert_fires_exactly_once(tmp_path: Path, promtool: Path) -> None:
    """A dead API is one alert, and none of its images counts as gone or failing."""
    write(tmp_path, files(section("Scrape it")), {})
    expected = [
        {"labels": f'{{alertname="{alert}",{labels}}}', "value": 1}
        for alert, labels in FIRING.items()
    ]
    firing = 'count by (alertname, cloud, image) (ALERTS{alertstate="firing"})'
    test = {
        "interval": "1m",
        "input_series": [
            {"series": f"{PREFIX}{series}", "values": values} for series, values in SERIES.items()
        ],
        "promql_expr_test": [{"expr": firing, "eval_time": "60m", "exp_samples": expected}],
    }
    (tmp_path / "tests.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}), "utf-8"
    )
    assert FIRING.keys() == rules().keys()
    for check in ("check config --syntax-only prometheus.yml", "test rules tests.yml"):
        process = subprocess.run(
            [promtool, *check.split()], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stdout + process.stderr


def test_demo_serves_the_metrics_and_pages_listed(tmp_path: Path) -> None:
    """Metrics listed as missing from the demo are excepted."""
    with start_program(tmp_path, "demo", "--web.listen-address=127.0.0.1:0") as program:
        wait_until(lambda: program.page("/-/ready")[0] == 200)
        pages = table_paths(section("Pages"))
        assert {path: program.page(path)[0] for path in pages} == dict.fromkeys(pages, 200)
        families = list(text_string_to_metric_families(program.page("/metrics")[1]))
        output = program.stdout
        program.stop()
    served = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in families
        if family.samples
    }
    listed = table_names(section("Metrics"))
    absent = set(re.findall(r"^- `(\w+)`:", section("Not in the demo"), re.MULTILINE))
    assert {name for name in served if name.startswith(PREFIX)} == listed - absent
    assert absent <= listed
    assert {name.partition("_")[0] for name in served - listed} == {"process", "python"}

    excerpt, shown_output = (
        next(block for block in blocks(section("See it"), "text") if block.startswith(start))
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
    first = (
        re.sub(r":\d+", ":PORT", shown_output).replace("localhost", "127.0.0.1").splitlines()[:4]
    )
    assert re.sub(r":\d+", ":PORT", output).splitlines()[:4] == first


@pytest.mark.parametrize(("format_", "start"), [("logfmt", "ts="), ("json", "{")])
def test_log_lines_are_those_of_the_program(
    format_: Literal["logfmt", "json"], start: str, caplog: pytest.LogCaptureFixture
) -> None:
    line = next(
        line
        for block in blocks(TEXT, "text")
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


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_resolve(document: str) -> None:
    text = BLOCK.sub("", (ROOT / document).read_text("utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, heading = target.partition("#")
        assert target.startswith("https://") or (ROOT / path).exists(), target
        if heading:
            page = (ROOT / (path or document)).read_text("utf-8")
            headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page), re.MULTILINE)
            assert heading in {
                re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings
            }, target


def test_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(
        rf"^## {re.escape(__version__)} - (unreleased|\d{{4}}-\d\d-\d\d)$", changelog, re.MULTILINE
    )


def test_contributing_names_existing_paths_and_code() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    paths = set(re.findall(r"`((?:exporter|tests|\.github)/[\w./]*)`", text))
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    files = [ROOT / path for path in ("Makefile", *paths) if (ROOT / path).is_file()]
    code = "".join(file.read_text("utf-8") for file in files)
    names = set(re.findall(r"`([A-Z]\w+)`", text)) - {"None"}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", code)] == []
    layout = blocks(text, "text")[0]
    folder = ROOT
    for line in layout.splitlines():
        for name in re.split(r", ", line.strip().split("  ")[0]):
            folder = folder if line.startswith(" ") else ROOT
            assert (folder / name).exists(), name
        if not line.startswith(" "):
            folder = ROOT / line.split()[0]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_contain_no_local_paths(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    assert not re.search(r"/(home|root|work|tmp|Users)/", text)
