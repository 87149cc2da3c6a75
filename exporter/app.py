"""Builds the parts of the exporter from the settings and joins them: the only place that does."""

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from exporter import __version__
from exporter.auth.base import Authenticator, CloudConfigError, identity_of
from exporter.auth.sign_in import sign_in
from exporter.clock import now, steady
from exporter.config import ResolvedCloud, expected_properties
from exporter.glance.client import ImageClient
from exporter.metrics.collector import CloudCollector
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.cloud import CloudState
from exporter.model.sharding import UNSHARDED, Shard
from exporter.model.target import Target
from exporter.polling.discovery import Discovery
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.poller import Poller
from exporter.store import Store
from exporter.transport.proxies import proxy_settings_for
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.tls_files import ClientTls, TlsFileError, read_tls_files

USER_AGENT = f"openstack-image-exporter/{__version__}"

ANY_HTTPS = "https://localhost"
"""Stands for an endpoint that only the catalogue will tell; the CA bundle is the same for all."""


@dataclass(frozen=True, slots=True)
class CloudRuntime:
    """One cloud, built and not asked yet; ``identity`` is that of all that its poller goes by."""

    plan: ResolvedCloud
    identity: bytes
    poller: Poller


@dataclass(slots=True)
class Application:
    """A built exporter: nothing has been asked yet, and no thread runs.

    ``clouds`` are those in use, by name, in the order of the settings.
    """

    store: Store
    instruments: ExporterMetrics
    shard: Shard = UNSHARDED
    all_properties: bool = False
    clouds: dict[str, CloudRuntime] = field(default_factory=dict)

    @property
    def pollers(self) -> tuple[Poller, ...]:
        """The poller of each cloud."""
        return tuple(built.poller for built in self.clouds.values())

    def close(self) -> None:
        """Ends all polling and every connection."""
        for poller in self.pollers:
            poller.stop()

    def prepare(self, plans: Sequence[ResolvedCloud]) -> tuple[CloudRuntime, ...]:
        """The clouds of these plans, for ``exchange``; nothing is asked, and nothing changes.

        Raises ``CloudConfigError`` where one cannot be signed in to.
        """
        return tuple(self._built(plan) for plan in plans)

    def exchange(self, wanted: Sequence[CloudRuntime]) -> "CloudChanges":
        """Takes these clouds into use instead of those that were, as a whole.

        A cloud that is asked as before keeps its poller, and what is known of an image that is
        still watched in its cloud is kept in any case. What goes out of use is retired, and is to
        be stopped.
        """
        before = self.clouds
        after = {built.plan.name: built for built in wanted}
        clouds: dict[str, CloudRuntime] = {}
        new: dict[str, tuple[Target, ...]] = {}
        with self.store.whole:
            for name in before.keys() - after.keys():
                before[name].poller.retire()
                self.store.forget(name)
                self.instruments.remove_cloud(name)
            for name, built in after.items():
                old = before.get(name)
                if old is not None and old.identity == built.identity:
                    clouds[name] = CloudRuntime(built.plan, built.identity, old.poller)
                else:
                    clouds[name] = built
                    self._take_over(built, old)
                new[name] = self._retarget(clouds[name])
            self.store.arrange(list(after))
            self.instruments.reload_successful.set(1)
            self.instruments.reload_success_at.set(now().wall)
        # Others may be going through the old ones just now.
        self.clouds = clouds
        in_use = set(map(id, self.pollers))
        return CloudChanges(
            started=tuple(name for name in after if clouds[name] is after[name]),
            kept=tuple(name for name in after if clouds[name] is not after[name]),
            removed=tuple(name for name in before if name not in after),
            ended=tuple(
                built.poller
                for built in (*before.values(), *wanted)
                if id(built.poller) not in in_use
            ),
            new=new,
        )

    def _built(self, plan: ResolvedCloud) -> CloudRuntime:
        signin = _sign_in(plan)
        files = _tls_files_identity(plan, signin.tls)
        client = _client(plan, signin, self.shard, self.instruments, self.all_properties)
        discovery = None
        if plan.discover:
            discovery = _discovery(plan, self.shard, targets(plan), client, self.store)
        poller = Poller(
            cloud=plan.name,
            client=client,
            targets=self._mine(plan),
            pace=CyclePacing(plan.interval, plan.timeout, plan.concurrency),
            max_stale=plan.max_stale,
            store=self.store,
            random=random.random,
            discovery=discovery,
        )
        # Images come and go without another poller. A token is in the identity of its sign-in.
        apart = replace(plan, images=(), token=None)
        properties = sorted(_properties(plan))
        return CloudRuntime(
            plan, identity_of(signin.identity, files, properties, repr(apart)), poller
        )

    def _mine(self, plan: ResolvedCloud) -> tuple[Target, ...]:
        """The images on a cloud's list that this shard watches."""
        listed = targets(plan)
        return tuple(each for each in listed if self.shard.owns_image(plan.name, each.image_id))

    def _retarget(self, built: CloudRuntime) -> tuple[Target, ...]:
        """Has a poller watch what is on its plan's list; returns what is new."""
        plan, poller = built.plan, built.poller
        # A discovery has to know the list of all shards.
        listed = self._mine(plan) if poller.discovery is None else targets(plan)
        return poller.retarget(listed)

    def _take_over(self, built: CloudRuntime, old: CloudRuntime | None) -> None:
        """Makes room for a cloud, or has a new poller go on where the old one left off."""
        plan = built.plan
        aliases = self.shard.own_aliases(plan.name, plan.discover)
        discovery_interval = plan.discovery_interval if plan.discover else None
        if old is None:
            state = CloudState(
                plan.name,
                plan.interval,
                discovery_interval=discovery_interval,
                resolved_changes=dict.fromkeys(aliases, 0),
            )
            self.store.watch(state, ())
            self.instruments.add_cloud(plan.name)
            return
        old.poller.retire()
        built.poller.take_over_from(old.poller)
        self.store.update_cloud(
            plan.name,
            lambda state: state.reconfigured(plan.interval, discovery_interval, aliases),
        )


@dataclass(frozen=True, slots=True)
class CloudChanges:
    """What an exchange of clouds came to, by the clouds' names.

    ``started`` have a poller that is new, ``kept`` have the one they had. ``ended`` are pollers
    that are retired or never were in use. ``new`` has the images that were not watched before.
    """

    started: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    ended: tuple[Poller, ...]
    new: Mapping[str, tuple[Target, ...]]


def build(
    plans: Sequence[ResolvedCloud], *, shard: Shard = UNSHARDED, all_properties: bool = False
) -> Application:
    """The parts for these clouds; raises ``CloudConfigError`` where one cannot be signed in to.

    Of the images only the shard's are watched, and they keep the properties on the plan's list,
    or all of them.
    """
    store = Store()
    instruments = ExporterMetrics(__version__, shard)
    instruments.registry.register(CloudCollector(store))
    parts = Application(store, instruments, shard, all_properties)
    parts.exchange(parts.prepare(plans))
    return parts


def targets(plan: ResolvedCloud) -> tuple[Target, ...]:
    """The images on a cloud's list, those of all shards."""
    shown = frozenset(plan.properties)
    return tuple(
        Target(plan.name, image.image_id, image.alias, expect=image.expect, property_names=shown)
        for image in plan.images
    )


def _discovery(
    plan: ResolvedCloud, shard: Shard, listed: Sequence[Target], client: ImageClient, store: Store
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
    plan: ResolvedCloud,
    signin: Authenticator,
    shard: Shard,
    instruments: ExporterMetrics,
    all_properties: bool,
) -> ImageClient:
    # The limit is what the cloud grants, to all shards together.
    rate = None if plan.rate_limit is None else plan.rate_limit / shard.total
    return ImageClient(
        signin=signin,
        route_for=partial(proxy_settings_for, tls=signin.tls),
        user_agent=USER_AGENT,
        timeout=plan.timeout,
        properties=None if all_properties else _properties(plan),
        limiter=RateLimiter(rate, steady, threading.Event()),
        wanted=plan.api,
        measure=partial(instruments.observe_request, plan.name),
    )


def _properties(plan: ResolvedCloud) -> frozenset[str]:
    """What has to be known of images: the properties that are shown, and those expected."""
    expects = {*(each.expect for each in plan.images), *(each.expect for each in plan.discover)}
    return frozenset(plan.properties) | expected_properties(expects)


def _sign_in(plan: ResolvedCloud) -> Authenticator:
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


def _tls_files_identity(plan: ResolvedCloud, tls: ClientTls) -> bytes:
    """Return the identity of the contents of the CA bundle and the client certificate.

    Raises:
        CloudConfigError: A file cannot be used.
    """
    url = plan.endpoint or ANY_HTTPS
    if not url.startswith("https:"):
        return b""
    settings = proxy_settings_for(url, tls)
    try:
        files = read_tls_files(ClientTls(settings.verify, settings.cert))
    except TlsFileError as error:
        raise CloudConfigError(f"cloud {plan.name!r}: {error}") from None
    return identity_of(*((name, content.hex()) for name, content in files))
