"""The exporter's own metrics that are counted as things happen, not read from the store."""

import platform
import threading

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from exporter.model.sharding import UNSHARDED, Shard

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds: from an answer out of a cache to one at the end of a long timeout."""

METHODS = ("HEAD", "GET")
"""HEAD asks for an image, GET for the list."""

CODES = ("200", "400", "401", "403", "404", "500", "503", "error")
"""What the API's reference says that it answers, and no answer."""


class ExporterMetrics:
    """Counters, histograms and gauges of this process, in a registry of their own."""

    def __init__(self, version: str, shard: Shard = UNSHARDED) -> None:
        # It has no annotations.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        self._lock = threading.Lock()
        self._codes: dict[str, set[tuple[str, str]]] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Counter(
            "openstack_image_exporter_requests",
            "Requests sent to the Image service; the code is error where no answer came.",
            ("cloud", "method", "code"),
            registry=self.registry,
        )
        self.durations = Histogram(
            "openstack_image_exporter_request_duration_seconds",
            "Time from sending a request to the Image service to the end of its answer or to its "
            "failure.",
            ("cloud", "method"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        Gauge(
            "openstack_image_exporter_build_info",
            "What is running.",
            ("version", "python_version"),
            registry=self.registry,
        ).labels(version, platform.python_version()).set(1)
        # As numbers, which rules can count and compare.
        Gauge(
            "openstack_image_exporter_shard_index",
            "Which of the shards this exporter is; the first is 0.",
            registry=self.registry,
        ).set(shard.index)
        Gauge(
            "openstack_image_exporter_shards",
            "How many shards share the images, as this exporter was told.",
            registry=self.registry,
        ).set(shard.total)
        self.reload_successful = Gauge(
            "openstack_image_exporter_config_last_reload_successful",
            "Whether the configuration that was read last is in use.",
            registry=self.registry,
        )
        self.reload_success_at = Gauge(
            "openstack_image_exporter_config_last_reload_success_timestamp_seconds",
            "When a configuration was last taken into use in seconds since the epoch.",
            registry=self.registry,
        )

    def record_reload(self, loaded_at: float | None) -> None:
        """Record when a configuration was taken into use, or None if that failed."""
        self.reload_successful.set(loaded_at is not None)
        if loaded_at is not None:
            self.reload_success_at.set(loaded_at)

    def add_cloud(self, cloud: str) -> None:
        """Lets the series of a cloud begin at 0, so that their first increase is seen."""
        with self._lock:
            self._codes[cloud] = {(method, code) for method in METHODS for code in CODES}
            for method in METHODS:
                self.durations.labels(cloud, method)
                for code in CODES:
                    self.requests.labels(cloud, method, code)

    def remove_cloud(self, cloud: str) -> None:
        """Takes the series of a cloud away, for good: what is measured late counts no more."""
        with self._lock:
            for method, code in self._codes.pop(cloud):
                self.requests.remove(cloud, method, code)
            for method in METHODS:
                self.durations.remove(cloud, method)

    def observe_request(
        self, cloud: str, method: str, code: str, seconds: float, request_id: str
    ) -> None:
        """Counts one request to the Image service.

        ``code`` is that of the answer, or ``error``; ``request_id`` is the service's own for it,
        as ``Head.request_id`` gives it, and empty where there is none.
        """
        exemplar = {"request_id": request_id} if request_id else None
        with self._lock:
            codes = self._codes.get(cloud)
            if codes is None:
                return
            codes.add((method, code))
            self.requests.labels(cloud, method, code).inc()
            self.durations.labels(cloud, method).observe(seconds, exemplar)
