"""Every query of the dashboards, put to a real Prometheus that scrapes the real program."""

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
    world,
)
from tests.dashboards.queries import Query, queries, variables
from tests.dashboards.servers import Prometheus
from tests.support.wait import wait_until


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
    wait_until(lambda: any(live.query(query.filled(image=image.id)) for image in images))


@pytest.mark.parametrize("query", [*queries()], ids=str)
def test_no_panel_speaks_of_other_programs(live: Prometheus, query: Query) -> None:
    """Where every job is chosen, those that Prometheus scrapes beside exporters are left out."""
    wait_until(lambda: live.query(f'up{{job="{OTHER}"}}'))
    jobs = {sample["metric"].get("job") for sample in live.query(query.filled(image=GOLDEN.id))}
    assert jobs <= {None, JOB}


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
        ("overview.json", "Not active", "lab", 0),
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
        (sample,) = live.query(query.filled(cloud=cloud))
        return float(sample["value"][1])

    wait_until(lambda: shown() == value)


def test_no_number_says_that_all_is_well_where_nothing_is_known(live: Prometheus) -> None:
    """A cloud that never answered has no 0 for how many of its images are gone."""
    (query,) = (q for q in queries() if (q.board, q.asker) == ("overview.json", "Gone A"))
    assert live.query(query.filled(cloud="dead")) == []
    assert live.query(query.filled(cloud="none such")) == []


@pytest.mark.parametrize(
    ("image", "state"), [(GOLDEN, 1), (REMOVED, 10), (DELETED, 10), (OFF, 8), (REFUSED, 6)]
)
def test_states_are_right(live: Prometheus, image: Any, state: int) -> None:
    """The number that stands for an image's state is that of its state."""
    (query,) = (q for q in queries() if (q.board, q.asker) == ("image.json", "State A"))
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
