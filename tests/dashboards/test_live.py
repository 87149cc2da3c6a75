"""Every query of the dashboards against a real Prometheus that scrapes the real program."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.dashboards.live import (
    DELETED,
    GOLDEN,
    JOB,
    OFF,
    OTHER,
    REFUSED,
    REMOVED,
    REPLACED,
    environment,
)
from tests.dashboards.queries import Query, queries, variables
from tests.dashboards.servers import Prometheus
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run the environment that the queries need."""
    with environment(tmp_path_factory.mktemp("live")) as server:
        yield server


@pytest.mark.parametrize("query", [*queries()], ids=str)
def test_queries_return_data(live: Prometheus, query: Query) -> None:
    """Queries of a single image return data for at least one image."""
    images = (GOLDEN, REPLACED, DELETED) if "$image" in query.text else (GOLDEN,)
    wait_until(lambda: any(live.query(query.filled(image=image.id)) for image in images))


@pytest.mark.parametrize("query", [*queries()], ids=str)
def test_no_panel_shows_other_programs(live: Prometheus, query: Query) -> None:
    wait_until(lambda: live.query(f'up{{job="{OTHER}"}}'))
    jobs = {sample["metric"].get("job") for sample in live.query(query.filled(image=GOLDEN.id))}
    assert jobs <= {None, JOB}


@pytest.mark.parametrize("query", [*variables()], ids=str)
def test_variables_have_values(live: Prometheus, query: Query) -> None:
    assert live.values_of(query.filled())


@pytest.mark.parametrize(
    ("board", "title", "cloud", "value"),
    [
        ("overview.json", "API down", "dead", 1),
        ("overview.json", "API down", "prod", 0),
        ("overview.json", "Gone", "prod", 1),
        ("overview.json", "Gone", "lab", 1),
        ("overview.json", "Not active", "prod", 1),
        ("overview.json", "Not active", "lab", 0),
        ("overview.json", "Poll failed", "lab", 1),
        ("overview.json", "Poll failed", "dead", 1),
        ("overview.json", "Expectations not met", "prod", 1),
        ("overview.json", "Images", "prod", 4),
        ("overview.json", "Unprotected", "prod", 2),
        ("overview.json", "Public", "prod", 2),
        ("exporter.json", "Exporters down", "prod", 0),
        ("exporter.json", "API down", "dead", 1),
        ("exporter.json", "Reload failed", "prod", 0),
    ],
)
def test_numbers_of_the_summaries_are_correct(
    live: Prometheus, board: str, title: str, cloud: str, value: int
) -> None:
    (query,) = (q for q in queries() if (q.board, q.element) == (board, f"{title} A"))

    def value_now() -> float:
        (sample,) = live.query(query.filled(cloud=cloud))
        return float(sample["value"][1])

    wait_until(lambda: value_now() == value)


def test_cloud_that_never_responded_has_no_number_of_gone_images(live: Prometheus) -> None:
    (query,) = (q for q in queries() if (q.board, q.element) == ("overview.json", "Gone A"))
    assert live.query(query.filled(cloud="dead")) == []
    assert live.query(query.filled(cloud="none such")) == []


@pytest.mark.parametrize(
    ("image", "state"), [(GOLDEN, 1), (REMOVED, 10), (DELETED, 10), (OFF, 8), (REFUSED, 6)]
)
def test_states_of_images_are_correct(live: Prometheus, image: Any, state: int) -> None:
    (query,) = (q for q in queries() if (q.board, q.element) == ("image.json", "State A"))
    cloud = "prod|lab"
    wait_until(
        lambda: (
            [
                float(sample["value"][1])
                for sample in live.query(query.filled(image=image.id, cloud=cloud))
            ]
            == [state]
        )
    )
