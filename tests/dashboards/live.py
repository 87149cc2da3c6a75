"""Every query of the dashboards, put to a real Prometheus that scrapes the real program.

``pytest tests/dashboards/live.py`` asks them; ``python -m tests.dashboards.live`` keeps that
Prometheus up until Ctrl-C, for drawing the dashboards.
"""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from dashboards.generate.__main__ import FILES, HOME
from exporter.demo import SimulatedImageService
from exporter.demo.cast import IMAGES
from exporter.demo.catalogue import CatalogueEndpoint
from exporter.demo.keystone import SimulatedKeystone
from tests.commands.program import settings_file, started, until

JOB = "openstack-images"
GOLDEN, REMOVED, OFF, REFUSED, DELETED, REPLACED = (
    IMAGES["golden-base"],
    *(
        replace(
            IMAGES["cirros"], id=f"{letter * 8}-0000-4000-8000-000000000000", visibility="private"
        )
        for letter in "abcde"
    ),
)

BUILT_IN = {
    "$__rate_interval": "30s",
    "$__range": "300s",
    "$datasource": "prometheus",
}
"""What Grafana puts for its own variables in a time range of five minutes."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query of one dashboard, and what asks it."""

    board: str
    asker: str
    text: str

    def __str__(self) -> str:
        return f"{self.board}: {self.asker}"

    def filled(self, **chosen: str) -> str:
        """The query as Grafana sends it, with these variables and all of the rest."""
        values = {f"${name}": value for name, value in chosen.items()} | BUILT_IN
        text = self.text
        for name, value in values.items():
            text = text.replace(name, value)
        return re.sub(r"\$(job|instance|cloud|image)\b", ".+", text)


def boards() -> dict[str, Any]:
    """Each dashboard as its file has it, by the file's name."""
    return {name: json.loads((HOME / name).read_text("utf-8")) for name in FILES}


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels that show something."""
    return (panel for panel in board["panels"] if panel["type"] != "row")


def queries() -> Iterator[Query]:
    """What the panels and the annotations of all dashboards ask."""
    for name, board in boards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Query(name, f"{panel['title']} {target['refId']}", target["expr"])
        for annotation in board["annotations"]["list"]:
            yield Query(name, annotation["name"], annotation["expr"])


def variables() -> Iterator[Query]:
    """What the variables of all dashboards ask."""
    for name, board in boards().items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Query(name, variable["name"], variable["query"])


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API; AssertionError where it refuses."""
        answer = requests.get(f"{self.url}/api/v1/{path}", parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def ask(self, query: str) -> list[Any]:
        """The series that a query gives now."""
        series: list[Any] = self.get("query", query=query)["result"]
        return series

    def values_of(self, variable: str) -> list[Any]:
        """What a variable offers, as Grafana's Prometheus data source gets it."""
        if asked := re.fullmatch(r"query_result\((.+)\)", variable):
            return self.ask(asked[1])
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable)
        assert asked, variable
        found: list[Any] = self.get(f"label/{asked[2]}/values", **{"match[]": asked[1]})
        return found


@contextmanager
def prometheus(folder: Path, *ports: int) -> Iterator[Prometheus]:
    """A Prometheus that scrapes these ports every second, and in which one alert fires."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed; on Debian it is the package of that name")
    alert = {"alert": "OpenStackImageLive", "expr": "vector(1)", "labels": {"severity": "none"}}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [alert]}]}))
    targets = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": JOB, "static_configs": targets}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        server = Prometheus(f"http://{address}")
        until(lambda: answers(f"{server.url}/-/ready"))
        yield server
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    """Whether there is an answer, and it is good."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def clouds(service: SimulatedImageService, dead: int) -> list[dict[str, Any]]:
    """One that signs in, one without Keystone as an administrator sees it, one that is down."""
    wanted = {"status": "active", "protected": False}
    entries = [{"id": GOLDEN.id, "alias": "golden", "expect": wanted}]
    entries += [{"id": image.id} for image in (REMOVED, OFF, REPLACED)]
    return [
        {"name": "prod", "api": "v2", "region": "North", "images": entries},
        {
            "name": "lab",
            "api": "v1",
            "endpoint": service.url,
            "images": [{"id": DELETED.id}, {"id": REFUSED.id}],
        },
        {
            "name": "dead",
            "api": "v1",
            "endpoint": f"http://127.0.0.1:{dead}",
            "images": [{"id": GOLDEN.id}],
        },
    ]


def misfortunes(service: SimulatedImageService) -> None:
    """Something of each kind that the dashboards are there to show."""
    service.images.remove(REMOVED.id)
    service.images.change(OFF.id, status="deactivated")
    service.images.delete(DELETED.id)
    service.images.change(REPLACED.id, checksum="0" * 32, size=1, visibility="public")
    service.faults.set("status", on=REFUSED.id, code=403)


EFFECTS = (
    'openstack_image_exists{cloud="prod"} == 0',
    'openstack_image_exists{cloud="lab"} == 0',
    'openstack_image_poll_success{cloud="lab"} == 0',
    'openstack_image_status{cloud="prod", status="deactivated"} == 1',
    'openstack_image_content_changes_total{cloud="prod"} == 1',
    'openstack_image_attribute_changes_total{cloud="prod", attribute="public"} == 1',
)
"""What Prometheus sees of each misfortune."""


@contextmanager
def world(folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that has seen images well, and has seen what became of them."""
    with ExitStack() as stack:
        mine = (GOLDEN, REMOVED, OFF, REFUSED, DELETED, REPLACED)
        service = stack.enter_context(SimulatedImageService(mine))
        service.api.admin = True
        keystone = stack.enter_context(SimulatedKeystone())
        keystone.endpoints = [CatalogueEndpoint(service.url, "North")]
        dead = stack.enter_context(contextlib.closing(socket.socket()))
        dead.bind(("127.0.0.1", 0))  # and does not listen
        for name in ("run", "demo"):
            (folder / name).mkdir()
        file = settings_file(
            folder / "run",
            *clouds(service, dead.getsockname()[1]),
            interval="1s",
            timeout="1s",
            properties=["os_distro"],
        )
        anywhere = "--web.listen-address=127.0.0.1:0"
        run = stack.enter_context(
            started(
                folder / "run",
                "run",
                f"--config.file={file}",
                anywhere,
                OS_AUTH_URL=keystone.auth_url,
                OS_USERNAME="demo",
                OS_PASSWORD="secret",
                OS_PROJECT_NAME="demo",
                OS_USER_DOMAIN_ID="default",
                OS_PROJECT_DOMAIN_ID="default",
            )
        )
        demo = stack.enter_context(started(folder / "demo", "demo", "--interval=2s", anywhere))
        server = stack.enter_context(prometheus(folder, run.port, demo.port))
        # The second sample of a counter at 0 is what a later one is an increase on.
        seen = "count_over_time(openstack_image_status_changes_total[1m]) > 2"
        until(lambda: len(server.ask(seen)) == 1 + len(mine) + len(IMAGES))
        misfortunes(service)
        for effect in EFFECTS:
            until(partial(server.ask, effect))
        yield server


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The world in which all is asked."""
    with world(tmp_path_factory.mktemp("live")) as server:
        yield server


@pytest.mark.parametrize("query", [*queries()], ids=str)
def test_queries_return_data_in_the_state_they_are_meant_for(
    live: Prometheus, query: Query
) -> None:
    """Each query of a panel or an annotation has an answer, for one of the images at least."""
    images = (GOLDEN, REPLACED, DELETED) if "$image" in query.text else (GOLDEN,)
    until(lambda: any(live.ask(query.filled(image=image.id)) for image in images))


@pytest.mark.parametrize("query", [*variables()], ids=str)
def test_variables_offer_something(live: Prometheus, query: Query) -> None:
    """Each variable has values to choose from."""
    assert live.values_of(query.filled())


@pytest.mark.parametrize(
    ("board", "title", "cloud", "value"),
    [
        ("overview.json", "API down", "dead", 1),
        ("overview.json", "API down", "prod", 0),
        ("overview.json", "Gone", "prod", 1),
        ("overview.json", "Gone", "lab", 1),
        ("overview.json", "Not active", "prod", 1),
        ("overview.json", "No answer", "lab", 1),
        ("overview.json", "No answer", "dead", 1),
        ("overview.json", "Expectations not met", "prod", 1),
        ("overview.json", "Images", "prod", 4),
        ("overview.json", "Unprotected", "prod", 2),
        ("overview.json", "Public", "prod", 2),
        ("exporter.json", "Exporters down", "prod", 0),
        ("exporter.json", "API down", "dead", 1),
        ("exporter.json", "Reload failed", "prod", 0),
    ],
)
def test_numbers_are_right(
    live: Prometheus, board: str, title: str, cloud: str, value: int
) -> None:
    """Each number of the summaries is that of the images that it is about."""
    (query,) = (q for q in queries() if (q.board, q.asker) == (board, f"{title} A"))

    def shown() -> float:
        (sample,) = live.ask(query.filled(cloud=cloud))
        return float(sample["value"][1])

    until(lambda: shown() == value)


def test_no_number_says_that_all_is_well_where_nothing_is_known(live: Prometheus) -> None:
    """A cloud that never answered has no 0 for how many of its images are gone."""
    (query,) = (q for q in queries() if (q.board, q.asker) == ("overview.json", "Gone A"))
    assert live.ask(query.filled(cloud="dead")) == []
    assert live.ask(query.filled(cloud="none such")) == []


@pytest.mark.parametrize(
    ("image", "state"), [(GOLDEN, 1), (REMOVED, 10), (DELETED, 10), (OFF, 8), (REFUSED, 6)]
)
def test_states_are_right(live: Prometheus, image: Any, state: int) -> None:
    """The number that stands for an image's state is that of its state."""
    (query,) = (q for q in queries() if (q.board, q.asker) == ("image.json", "State A"))
    cloud = "prod|lab"
    until(
        lambda: (
            [
                float(sample["value"][1])
                for sample in live.ask(query.filled(image=image.id, cloud=cloud))
            ]
            == [state]
        )
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as up:
        print(f"Prometheus: {up.url}", flush=True)  # noqa: T201 - for who draws the dashboards
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(60)
