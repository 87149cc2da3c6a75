"""Builds the parts of the exporter from the settings and joins them: the only place that does."""

import random
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exporter import __version__
from exporter.clock import now, steady
from exporter.collector import CloudCollector
from exporter.glance.client import ImageClient
from exporter.glance.cloud import SignIn, sign_in
from exporter.glance.environment import route
from exporter.glance.limiter import Limiter
from exporter.glance.signin import CloudConfigError, Tls
from exporter.image.cloud import CloudState
from exporter.image.shard import WHOLE, Shard
from exporter.image.target import Target
from exporter.instruments import Instruments
from exporter.polling.discovery import Discovery
from exporter.polling.pace import Pace
from exporter.polling.poller import Poller
from exporter.settings import CloudPlan, expected_properties
from exporter.store import Store

USER_AGENT = f"openstack-image-exporter/{__version__}"

ANY_HTTPS = "https://localhost"
"""Stands for an endpoint that only the catalogue will tell; the CA bundle is the same for all."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A built exporter: nothing has been asked yet, and no thread runs."""

    store: Store
    instruments: Instruments
    pollers: tuple[Poller, ...]
    stop: threading.Event
    shard: Shard = WHOLE

    def close(self) -> None:
        """Ends all polling and every connection."""
        self.stop.set()
        for poller in self.pollers:
            poller.stop()


def build(
    plans: Sequence[CloudPlan], *, shard: Shard = WHOLE, all_properties: bool = False
) -> Parts:
    """The parts for these clouds; raises ``CloudConfigError`` where one cannot be signed in to.

    Of the images only the shard's are watched, and they keep the properties on the plan's list,
    or all of them.
    """
    store = Store()
    instruments = Instruments(__version__, shard)
    instruments.registry.register(CloudCollector(store))
    stop = threading.Event()
    pollers = tuple(
        _poller(plan, store, instruments, stop, shard=shard, all_properties=all_properties)
        for plan in plans
    )
    instruments.reload_successful.set(1)
    instruments.reload_success_at.set(now().wall)
    return Parts(store, instruments, pollers, stop, shard)


def targets(plan: CloudPlan) -> tuple[Target, ...]:
    """The images on a cloud's list, those of all shards."""
    shown = frozenset(plan.properties)
    return tuple(
        Target(plan.name, image.image_id, image.alias, expect=image.expect, properties=shown)
        for image in plan.images
    )


def _poller(
    plan: CloudPlan,
    store: Store,
    instruments: Instruments,
    stop: threading.Event,
    *,
    shard: Shard,
    all_properties: bool,
) -> Poller:
    listed = targets(plan)
    watched = tuple(each for each in listed if shard.has_image(plan.name, each.image_id))
    aliases = shard.aliases(plan.name, plan.discover)
    state = CloudState(
        plan.name,
        plan.interval,
        discovery_interval=plan.discovery_interval if plan.discover else None,
        resolved_changes=dict.fromkeys(aliases, 0),
    )
    store.watch(state, watched)
    instruments.watch(plan.name)
    client = _client(plan, shard, instruments, stop, all_properties)
    return Poller(
        cloud=plan.name,
        client=client,
        targets=watched,
        pace=Pace(plan.interval, plan.timeout, plan.concurrency),
        max_stale=plan.max_stale,
        store=store,
        random=random.random,
        discovery=_discovery(plan, shard, listed, client, store) if plan.discover else None,
    )


def _discovery(
    plan: CloudPlan, shard: Shard, listed: Sequence[Target], client: ImageClient, store: Store
) -> Discovery:
    return Discovery(
        plan.name,
        plan.discover,
        listed,
        shard=shard,
        client=client,
        store=store,
        interval=plan.discovery_interval,
        forget_after=plan.forget_after,
        clock=now,
        shown=frozenset(plan.properties),
    )


def _client(
    plan: CloudPlan,
    shard: Shard,
    instruments: Instruments,
    stop: threading.Event,
    all_properties: bool,
) -> ImageClient:
    signin = _sign_in(plan)
    # The limit is what the cloud grants, to all shards together.
    rate = None if plan.rate_limit is None else plan.rate_limit / shard.total
    _check_certificates(plan, signin.tls)
    return ImageClient(
        signin=signin,
        route_for=partial(route, tls=signin.tls),
        user_agent=USER_AGENT,
        timeout=plan.timeout,
        properties=None if all_properties else _properties(plan),
        limiter=Limiter(rate, steady, stop),
        wanted=plan.api,
        measure=partial(instruments.measure, plan.name),
    )


def _properties(plan: CloudPlan) -> frozenset[str]:
    """What has to be known of images: the properties that are shown, and those expected."""
    expects = {*(each.expect for each in plan.images), *(each.expect for each in plan.discover)}
    return frozenset(plan.properties) | expected_properties(expects)


def _sign_in(plan: CloudPlan) -> SignIn:
    return sign_in(
        plan.name,
        cloud=plan.cloud,
        region=plan.region,
        interface=plan.interface,
        endpoint=plan.endpoint,
        token=plan.token.get_secret_value() if plan.token else None,
        token_file=plan.token_file,
        timeout=plan.timeout,
    )


def _check_certificates(plan: CloudPlan, tls: Tls) -> None:
    """Raises ``CloudConfigError`` for files that are of no use, else every poll would fail."""
    url = plan.endpoint or ANY_HTTPS
    if not url.startswith("https:"):
        return
    way = route(url, tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(way.verify, str):
        is_folder = Path(way.verify).is_dir()
        bundle, folder = (None, way.verify) if is_folder else (way.verify, None)
        places = "of clouds.yaml, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
        with _refusing(plan.name, f"CA bundle {way.verify} ({places})"):
            context.load_verify_locations(bundle, folder)
    if way.cert:
        certificate, key = (way.cert, None) if isinstance(way.cert, str) else way.cert
        with _refusing(plan.name, f"client certificate {certificate}"):
            # OpenSSL would ask for the password of a key; an empty one fails instead.
            context.load_cert_chain(certificate, key, password="")


@contextmanager
def _refusing(cloud: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = f"cloud {cloud!r}: {what} cannot be used: {error.strerror}"
        raise CloudConfigError(problem) from None
