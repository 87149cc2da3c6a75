from collections.abc import Iterator

import pytest

from exporter.demo.services import DemoServices, running_services


@pytest.fixture
def services() -> Iterator[DemoServices]:
    """Run the services of the demo."""
    with running_services() as running:
        yield running
