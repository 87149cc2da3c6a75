"""All that Alertmanager is sent, and all that it tells people."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

PREFIX = "OpenStackImage"
OF_THE_ALERT = frozenset({"alertname", "severity", "cloud", "image_id", "job"})
"""Labels that an alert's short name leaves out: what they say is said otherwise."""


def short(labels: Mapping[str, str]) -> str:
    """``Gone golden`` for the alert OpenStackImageGone about the image with that alias."""
    rest = sorted(labels.keys() - OF_THE_ALERT, key=("image", "reason", "expectation").index)
    return " ".join((labels["alertname"].removeprefix(PREFIX), *(labels[each] for each in rest)))


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert as it was sent or told, at a time of the Unix epoch."""

    at: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fires: bool
    receiver: str = ""

    @property
    def name(self) -> str:
        """Its short name."""
        return short(self.labels)

    @property
    def about(self) -> str:
        """The cloud, or else the job, that it is about; empty without either."""
        return self.labels.get("cloud") or self.labels.get("job", "")


@dataclass
class Record:
    """What went to Alertmanager and what came from it, in order."""

    sent: list[Seen] = field(default_factory=list)
    told: list[Seen] = field(default_factory=list)

    def reached(self, about: str) -> list[Seen]:
        """The alerts about a cloud or a job that fired when they were sent."""
        return [seen for seen in tuple(self.sent) if seen.about == about and seen.fires]

    def notified(self, about: str) -> list[Seen]:
        """Those of them that people were told of."""
        return [seen for seen in tuple(self.told) if seen.about == about and seen.fires]

    def firing(self, about: str) -> set[str]:
        """The short names of the alerts that fire by the last that was sent of each."""
        last = {seen.name: seen.fires for seen in tuple(self.sent) if seen.about == about}
        return {name for name, fires in last.items() if fires}

    def begun(self, about: str, name: str) -> list[float]:
        """When an alert was sent as firing after it had not been."""
        mine = [s for s in tuple(self.sent) if (s.about, s.name) == (about, name)]
        before = [False, *(seen.fires for seen in mine)]
        return [seen.at for seen, was in zip(mine, before, strict=False) if seen.fires and not was]


@contextmanager
def recorder(alertmanager: Callable[[], str]) -> Iterator[tuple[Record, int]]:
    """A record, and the port of what keeps it until the block ends.

    It passes alerts on to Alertmanager, at the address that ``alertmanager`` gives, and takes
    notifications at ``/told/RECEIVER``.
    """
    record = Record()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/api/v2/alerts":
                status = _pass_on(f"{alertmanager()}{self.path}", body)
                if status == 200:
                    record.sent.extend(_sent(json.loads(body)))
            else:
                status = 200
                record.told.extend(_told(json.loads(body), self.path.rpartition("/")[2]))
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
        yield record, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _pass_on(url: str, body: bytes) -> int:
    headers = {"Content-Type": "application/json"}
    try:
        return requests.post(url, body, headers=headers, timeout=10).status_code
    except requests.RequestException:
        return 502


def _sent(alerts: list[dict[str, Any]]) -> Iterator[Seen]:
    now = time.time()
    for alert in alerts:
        fires = datetime.fromisoformat(alert["endsAt"]).timestamp() > now
        yield Seen(now, alert["labels"], alert["annotations"], fires)


def _told(notification: dict[str, Any], receiver: str) -> Iterator[Seen]:
    now = time.time()
    for alert in notification["alerts"]:
        fires = alert["status"] == "firing"
        yield Seen(now, alert["labels"], alert["annotations"], fires, receiver)
