"""Metrics of the exporter itself that are updated by events, not read from the store."""

import platform
import threading
from enum import Enum

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

from exporter import UNKNOWN_REVISION
from exporter.model.sharding import UNSHARDED, Shard

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds, from a cached response to a response near the longest timeout."""

METHODS = ("HEAD", "GET")
"""API v1 uses HEAD for an image and GET for the list, API v2 uses GET for both."""

CODES = ("200", "400", "401", "403", "404", "500", "503", "error")
"""The status codes in the API reference, and ``error`` for a request without a response."""


class Refusal(Enum):
    """Why a connection of a client was refused, or closed to make room for another."""

    ADDRESS_LIMIT = "address_limit"
    CONNECTION_LIMIT = "connection_limit"
    CLIENT_CERTIFICATE = "client_certificate"


ENCODINGS = ("identity", "gzip")
"""Content codings of a scrape response (RFC 9110, section 8.4.1)."""


class ExporterMetrics:
    """Counters, histograms and gauges of this process, in their own registry."""

    def __init__(
        self, version: str, shard: Shard = UNSHARDED, revision: str = UNKNOWN_REVISION
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self.registry = CollectorRegistry(auto_describe=True)
        self._lock = threading.Lock()
        self._codes: dict[str, set[tuple[str, str]]] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Counter(
            "openstack_image_exporter_requests",
            "Requests sent to the Image service. The code is error without a response.",
            ("cloud", "method", "code"),
            registry=self.registry,
        )
        self.durations = Histogram(
            "openstack_image_exporter_request_duration_seconds",
            "Duration of requests to the Image service in seconds, to the end of the response or "
            "the failure.",
            ("cloud", "method"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        Gauge(
            "openstack_image_exporter_build_info",
            "Build information. The revision is the git commit of the build.",
            ("version", "revision", "python_version"),
            registry=self.registry,
        ).labels(version, revision, platform.python_version()).set(1)
        # Numbers instead of labels, so that rules can count and compare them.
        Gauge(
            "openstack_image_exporter_shard_index",
            "Index of this exporter's shard, starting at 0.",
            registry=self.registry,
        ).set(shard.index)
        Gauge(
            "openstack_image_exporter_shards",
            "Configured number of shards.",
            registry=self.registry,
        ).set(shard.total)
        body_bytes = Gauge(
            "openstack_image_exporter_scrape_body_bytes",
            "Size of the last response to a scrape of all clouds in bytes, plain (identity) and as "
            "sent compressed (gzip); 0 before the first such response.",
            ("encoding",),
            registry=self.registry,
        )
        self.plain_bytes, self.gzip_bytes = (body_bytes.labels(name) for name in ENCODINGS)
        self.reload_successful = Gauge(
            "openstack_image_exporter_config_last_reload_successful",
            "Whether the last attempt to load the configuration was successful.",
            registry=self.registry,
        )
        self.reload_success_at = Gauge(
            "openstack_image_exporter_config_last_reload_success_timestamp_seconds",
            "Time of the last successful load of the configuration in seconds since the epoch.",
            registry=self.registry,
        )
        self.credentials_loaded_at = Gauge(
            "openstack_image_exporter_credentials_last_load_timestamp_seconds",
            "Time at which clouds.yaml, secure.yaml and the certificates for clouds were last "
            "loaded, in seconds since the epoch.",
            registry=self.registry,
        )
        self.state_written_at = Gauge(
            "openstack_image_exporter_state_last_write_timestamp_seconds",
            "Time of the last successful write of the state file in seconds since the epoch; 0 "
            "before the first one, and without a state file.",
            registry=self.registry,
        )
        self.state_write_failures = Counter(
            "openstack_image_exporter_state_write_failures",
            "Failed writes of the state file.",
            registry=self.registry,
        )
        self.refused_connections = Counter(
            "openstack_image_exporter_refused_connections",
            "Connections of clients that were refused, or closed to make room for others.",
            ("reason",),
            registry=self.registry,
        )
        for reason in Refusal:
            self.refused_connections.labels(reason.value)

    def count_refused_connection(self, reason: Refusal) -> None:
        """Count a connection that was refused or closed."""
        self.refused_connections.labels(reason.value).inc()

    def record_body(self, plain_bytes: int, gzip_bytes: int | None) -> None:
        """Record the size of a scrape response, plain and, if it was compressed, as sent."""
        self.plain_bytes.set(plain_bytes)
        if gzip_bytes is not None:
            self.gzip_bytes.set(gzip_bytes)

    def record_credentials_load(self, loaded_at: float) -> None:
        """Record the Unix time at which the credentials in use were read from their files."""
        self.credentials_loaded_at.set(loaded_at)

    def record_load(self, loaded_at: float | None) -> None:
        """Record the Unix time of a successful load of the configuration, or None for a failure."""
        self.reload_successful.set(loaded_at is not None)
        if loaded_at is not None:
            self.reload_success_at.set(loaded_at)

    def record_state_write(self, written_at: float | None) -> None:
        """Record the Unix time of a successful write of the state file, or None for a failure."""
        if written_at is None:
            self.state_write_failures.inc()
        else:
            self.state_written_at.set(written_at)

    def add_cloud(self, cloud: str) -> None:
        """Create the series of a cloud at 0, so that Prometheus sees their first increase."""
        with self._lock:
            self._codes[cloud] = {(method, code) for method in METHODS for code in CODES}
            for method in METHODS:
                self.durations.labels(cloud, method)
                for code in CODES:
                    self.requests.labels(cloud, method, code)

    def remove_cloud(self, cloud: str) -> None:
        """Remove the series of a cloud. Requests that finish later do not bring them back."""
        with self._lock:
            for method, code in self._codes.pop(cloud):
                self.requests.remove(cloud, method, code)
            for method in METHODS:
                self.durations.remove(cloud, method)

    def observe_request(
        self, cloud: str, method: str, code: str, seconds: float, request_id: str
    ) -> None:
        """Count and time one request to the Image service.

        Args:
            cloud: The name of the cloud. An unknown one is ignored.
            method: The HTTP method.
            code: The status code of the response, or ``error``.
            seconds: The duration.
            request_id: The request ID in the response, or empty. It becomes the exemplar.
        """
        exemplar = {"request_id": request_id} if request_id else None
        with self._lock:
            codes = self._codes.get(cloud)
            if codes is None:
                return
            codes.add((method, code))
            self.requests.labels(cloud, method, code).inc()
            self.durations.labels(cloud, method).observe(seconds, exemplar)
