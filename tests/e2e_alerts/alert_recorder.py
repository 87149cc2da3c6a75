"""Recorder of the alerts that Alertmanager receives, and of its notifications."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

PREFIX = "OpenStackImage"
OMITTED_LABELS = frozenset(
    {"alertname", "alertgroup", "severity", "cloud", "image_id", "job", "team"}
)
"""Labels that are not part of the short name of an alert. vmalert adds ``alertgroup``."""
RULER = "ruler"
"""Label of an alert that names its ruler, if there are several. Alertmanager does not get it."""


def short_name(labels: Mapping[str, str]) -> str:
    """Return ``Gone golden`` for the alert OpenStackImageGone about the image with that alias."""
    order = ("image", "reason", "expectation")
    shown = sorted(labels.keys() - OMITTED_LABELS, key=order.index)
    return " ".join((labels["alertname"].removeprefix(PREFIX), *(labels[name] for name in shown)))


@dataclass(frozen=True, slots=True)
class RecordedAlert:
    """An alert as it was sent or notified. Its timestamp is in seconds since the epoch."""

    timestamp: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    is_firing: bool
    receiver: str = ""

    @property
    def name(self) -> str:
        """Short name of the alert."""
        return short_name(self.labels)

    @property
    def subject(self) -> str:
        """Cloud of the alert, or else its job; empty without either."""
        return self.labels.get("cloud") or self.labels.get("job", "")


@dataclass
class AlertRecord:
    """Alerts that were sent to Alertmanager, and its notifications, in order."""

    sent: list[RecordedAlert] = field(default_factory=list)
    notifications: list[RecordedAlert] = field(default_factory=list)

    def reached(self, subject: str) -> list[RecordedAlert]:
        """Return the alerts about a cloud or a job that were sent as firing."""
        return [alert for alert in tuple(self.sent) if alert.subject == subject and alert.is_firing]

    def notified(self, subject: str) -> list[RecordedAlert]:
        """Return the firing alerts about a cloud or a job of which people were notified."""
        return [
            alert
            for alert in tuple(self.notifications)
            if alert.subject == subject and alert.is_firing
        ]

    def firing(self, subject: str) -> set[str]:
        """Return the short names of the alerts that are firing."""
        latest = {
            alert.name: alert.is_firing for alert in tuple(self.sent) if alert.subject == subject
        }
        return {name for name, is_firing in latest.items() if is_firing}

    def starts(self, subject: str, name: str) -> list[float]:
        """Return the times at which an alert started to fire."""
        alerts = [
            alert for alert in tuple(self.sent) if (alert.subject, alert.name) == (subject, name)
        ]
        was_firing = [False, *(alert.is_firing for alert in alerts)]
        return [
            alert.timestamp
            for alert, was in zip(alerts, was_firing, strict=False)
            if alert.is_firing and not was
        ]


@contextmanager
def record_alerts(
    alertmanager_urls: Mapping[str, str],
) -> Iterator[tuple[Mapping[str, AlertRecord], int]]:
    """Record alerts until the block ends; yield a record per ruler and the port of the recorder.

    The recorder forwards the alerts of each ruler to an Alertmanager of its own, and receives
    notifications at ``/notifications/RULER/RECEIVER``. Alerts without a label are of the first one.

    Args:
        alertmanager_urls: The URL of Alertmanager by ruler, which may change until the first alert.
    """
    records = {ruler: AlertRecord() for ruler in alertmanager_urls}
    first_ruler = next(iter(records))

    def forward(path: str, alerts: list[dict[str, Any]]) -> int:
        by_ruler = defaultdict(list)
        for alert in alerts:
            by_ruler[alert["labels"].pop(RULER, first_ruler)].append(alert)
        status = 200
        for ruler, own in by_ruler.items():
            response = _forward(f"{alertmanager_urls[ruler]}{path}", own)
            if response == 200:
                records[ruler].sent.extend(_parse_alerts(own))
            status = max(status, response)
        return status

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/api/v2/alerts":
                status = forward(self.path, body)
            else:
                status = 200
                ruler, receiver = self.path.split("/")[-2:]
                records[ruler].notifications.extend(_parse_notification(body, receiver))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield records, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _forward(url: str, alerts: list[dict[str, Any]]) -> int:
    try:
        return requests.post(url, json=alerts, timeout=10).status_code
    except requests.RequestException:
        return 502


def _parse_alerts(alerts: list[dict[str, Any]]) -> Iterator[RecordedAlert]:
    now = time.time()
    for alert in alerts:
        is_firing = datetime.fromisoformat(alert["endsAt"]).timestamp() > now
        yield RecordedAlert(now, alert["labels"], alert["annotations"], is_firing)


def _parse_notification(notification: dict[str, Any], receiver: str) -> Iterator[RecordedAlert]:
    now = time.time()
    for alert in notification["alerts"]:
        is_firing = alert["status"] == "firing"
        yield RecordedAlert(now, alert["labels"], alert["annotations"], is_firing, receiver)
