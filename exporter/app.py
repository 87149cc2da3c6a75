"""Composition root: builds the parts for polling and the web from the settings."""

import os
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from exporter import __version__, read_revision
from exporter.auth.base import Authenticator, CloudConfigError, identity_of
from exporter.auth.factory import OpenStackSource, build_authenticator
from exporter.clock import now, steady
from exporter.config import ResolvedCloud, Web
from exporter.files import WatchedFiles
from exporter.glance.client import ImageClient
from exporter.glance.request_sender import RequestSender
from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.metrics.selection.families import EVERYTHING, Selection
from exporter.model.cloud import CloudState
from exporter.model.sharding import UNSHARDED, Shard
from exporter.model.target import Target
from exporter.polling.discovery import Discovery
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.poller import Poller
from exporter.polling.scheduler import CloudJobs, Scheduler
from exporter.store import Store
from exporter.transport.proxies import proxy_settings_for
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.tls_files import ClientTls, TlsFileError, read_tls_files
from exporter.web.app import create_app
from exporter.web.handlers import Handlers, HealthCheck, Reload
from exporter.web.pages.image_details import ImageDetails, find_image
from exporter.web.pages.image_list import ImageList, query_images
from exporter.web.pages.query import Query
from exporter.web.security.middleware import SecurityMiddleware, SecurityState
from exporter.web.server.listen import ListenError
from exporter.web.server.server import WebServer
from exporter.web.server.systemd import sockets_from_systemd

USER_AGENT = f"openstack-image-exporter/{__version__}"

ANY_HTTPS_URL = "https://localhost"
"""Stands in for an endpoint unknown before sign-in; the CA bundle does not depend on the host."""


@dataclass(frozen=True, slots=True)
class CloudRuntime:
    """A configured cloud and its poller.

    Attributes:
        config: The settings of the cloud.
        identity: Digest of everything that the poller depends on, apart from the images.
        poller: The poller. It has sent no request when it is built.
    """

    config: ResolvedCloud
    identity: bytes
    poller: Poller


@dataclass(slots=True)
class Application:
    """The polling side: clouds, scheduler, store and metrics.

    Attributes:
        store: The state that polling and the web share.
        exporter_metrics: Metrics of the exporter, and the registry, which has those of clouds too.
        shard: The part of the images that this exporter watches.
        all_properties: True to read every property of an image, not only the configured ones.
        selection: The metric families that are served.
        clouds: The running clouds by name, in the order of the settings.
        scheduler: Starts the cycles. It does not run yet when the application is built.
        jobs: The jobs of the clouds in the scheduler.
        credential_files: clouds.yaml, secure.yaml and the certificates of the running clouds.
    """

    store: Store
    exporter_metrics: ExporterMetrics
    shard: Shard = UNSHARDED
    all_properties: bool = False
    selection: Selection = EVERYTHING
    clouds: dict[str, CloudRuntime] = field(default_factory=dict)
    scheduler: Scheduler = field(default_factory=Scheduler)
    jobs: CloudJobs = field(init=False)
    credential_files: WatchedFiles = field(default_factory=WatchedFiles)

    def __post_init__(self) -> None:
        """Create the empty set of jobs."""
        self.jobs = CloudJobs(self.scheduler)

    @property
    def pollers(self) -> tuple[Poller, ...]:
        """The poller of each cloud."""
        return tuple(cloud.poller for cloud in self.clouds.values())

    def close(self) -> None:
        """Stop the scheduler and all polling, and close every connection."""
        self.scheduler.stop()
        for poller in self.pollers:
            poller.stop()

    def query_images(self, query: Query) -> ImageList:
        """Run a query on the images as they are now."""
        return query_images(self.store, query, now(), self.shard)

    def find_image(self, *, cloud: str, image_id: str) -> ImageDetails | None:
        """Return an image as it is now, by the names in a path, or None if it is not watched."""
        configs = {name: runtime.config for name, runtime in self.clouds.items()}
        families = self.selection.image_families()
        return find_image(self.store, cloud, image_id, now(), configs, families=families)

    def build_clouds(self, configs: Iterable[ResolvedCloud]) -> tuple[CloudRuntime, ...]:
        """Build clouds without starting them: send no request and change nothing that runs.

        From now on, ``credential_files`` has the files that they were built from.

        Raises:
            CloudConfigError: The authentication of a cloud cannot work as configured.
        """
        files = _SharedFiles(self.credential_files)
        clouds = tuple(self._build_cloud(config, files) for config in configs)
        self.credential_files.watch(files.paths)
        return clouds

    def has_failing_cloud(self) -> bool:
        """Return True if a cloud refuses the sign-in, or does not respond with accepted tokens."""
        return any(
            poller.client.sender.authenticator.stats().failure is not None
            or self.store.cloud(poller.cloud).api_up is False
            for poller in self.pollers
        )

    def add_cloud(self, cloud: CloudRuntime) -> None:
        """Add a cloud to the store and the metrics, without images."""
        config = cloud.config
        state = CloudState(
            config.name,
            config.interval,
            discovery_interval=_discovery_interval(config),
            resolved_changes=dict.fromkeys(self._aliases(config), 0),
        )
        self.store.add_cloud(state)
        self.exporter_metrics.add_cloud(config.name)

    def replace_cloud(self, running: CloudRuntime, cloud: CloudRuntime) -> None:
        """Detach the running poller of a cloud and let the new one continue with its state."""
        config = cloud.config
        running.poller.detach()
        cloud.poller.take_over_from(running.poller)
        aliases = self._aliases(config)
        self.store.update_cloud(
            config.name,
            lambda state: state.reconfigured(config.interval, _discovery_interval(config), aliases),
        )

    def remove_cloud(self, cloud: CloudRuntime) -> None:
        """Detach the poller of a cloud and remove the cloud from the store and the metrics."""
        cloud.poller.detach()
        self.store.remove_cloud(cloud.config.name)
        self.exporter_metrics.remove_cloud(cloud.config.name)

    def set_targets(self, cloud: CloudRuntime) -> tuple[Target, ...]:
        """Let a cloud's poller watch the configured images, and return those that are new."""
        # Discovery must know the configured images of all shards.
        has_discovery = cloud.poller.discovery is not None
        targets = configured_targets(cloud.config)
        return cloud.poller.set_targets(targets if has_discovery else self._in_shard(targets))

    def _build_cloud(self, config: ResolvedCloud, files: "_SharedFiles") -> CloudRuntime:
        authenticator = _build_authenticator(config, files.openstack)
        files_identity = _tls_files_identity(config, authenticator.tls, files)
        properties = config.needed_properties
        client = self._build_client(config, authenticator, properties)
        poller = Poller(
            cloud=config.name,
            client=client,
            targets=self._in_shard(configured_targets(config)),
            pacing=CyclePacing(config.interval, config.timeout, config.concurrency),
            max_stale=config.max_stale,
            store=self.store,
            random=random.random,
            discovery=self._build_discovery(config, client) if config.discover else None,
        )
        # Images change without a new poller. The identity of the authenticator covers the token.
        others = repr(replace(config, images=(), token=None))
        parts = (authenticator.identity, files_identity, sorted(properties), others)
        return CloudRuntime(config, identity_of(*parts), poller)

    def _build_client(
        self, config: ResolvedCloud, authenticator: Authenticator, properties: frozenset[str]
    ) -> ImageClient:
        # The configured limit is for all shards together.
        rate = None if config.rate_limit is None else config.rate_limit / self.shard.total
        sender = RequestSender(
            authenticator=authenticator,
            proxy_settings_for=partial(proxy_settings_for, tls=authenticator.tls),
            user_agent=USER_AGENT,
            timeout=config.timeout,
            limiter=RateLimiter(rate, steady, threading.Event()),
            observe_request=partial(self.exporter_metrics.observe_request, config.name),
        )
        return ImageClient(
            sender,
            properties=None if self.all_properties else properties,
            requested_version=config.api or authenticator.api,
        )

    def _build_discovery(self, config: ResolvedCloud, client: ImageClient) -> Discovery:
        return Discovery(
            config.name,
            config.discover,
            configured_targets(config),
            shard=self.shard,
            client=client,
            store=self.store,
            interval=config.discovery_interval,
            forget_after=config.forget_after,
            clock=now,
            exported_properties=frozenset(config.properties),
            label_value_limit=config.label_value_limit,
        )

    def _in_shard(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        return tuple(
            target for target in targets if self.shard.owns_image(target.cloud, target.image_id)
        )

    def _aliases(self, config: ResolvedCloud) -> tuple[str, ...]:
        return tuple(self.shard.own_aliases(config.name, config.discover))


class _SharedFiles:
    """The files that several clouds of one load of the settings use, each of which is read once.

    Attributes:
        openstack: clouds.yaml and secure.yaml.
        tls_identities: The identities of certificates. OpenSSL takes 40 ms to read a CA bundle.
        paths: All files, including those that are searched for and do not exist.
    """

    def __init__(self, watched: WatchedFiles) -> None:
        """Add each file to ``watched`` before it is read."""
        self.openstack = OpenStackSource(self.watch)
        self.tls_identities: dict[ClientTls, bytes] = {}
        self.paths: set[Path] = set()
        self._watched = watched

    def watch(self, paths: Iterable[Path]) -> None:
        """Watch files that are about to be read."""
        new = set(paths) - self.paths
        self.paths |= new
        self._watched.add(new)


def build_application(
    configs: Sequence[ResolvedCloud], *, shard: Shard = UNSHARDED, all_properties: bool = False
) -> Application:
    """Build the parts for these clouds: send no request and start no thread.

    Args:
        configs: The clouds.
        shard: The part of the images to watch.
        all_properties: True to read every property of an image, not only the configured ones.

    Raises:
        CloudConfigError: The authentication of a cloud cannot work as configured.
    """
    store = Store()
    exporter_metrics = ExporterMetrics(__version__, shard, read_revision())
    exporter_metrics.registry.register(CloudCollector(store))
    application = Application(store, exporter_metrics, shard, all_properties)
    for cloud in application.build_clouds(configs):
        application.add_cloud(cloud)
        application.set_targets(cloud)
        application.clouds[cloud.config.name] = cloud
    exporter_metrics.record_load(now().wall)
    exporter_metrics.record_credentials_load(now().wall)
    return application


def build_exposition(application: Application) -> Exposition:
    """Build the exposition of the application's metrics."""
    metrics, store = application.exporter_metrics, application.store
    return Exposition(
        store, metrics.registry, now, lambda: application.selection, metrics.record_body
    )


def build_web_app(
    application: Application,
    security: SecurityState,
    exposition: Exposition,
    *,
    check_health: HealthCheck,
    check_readiness: HealthCheck,
    reload: Reload | None,
    config_text: Callable[[], str],
    web: Web,
) -> ASGIApp:
    """Build the web application, at the paths in ``web`` and protected by ``security``."""
    handlers = Handlers(
        render_metrics=exposition.body,
        query_images=application.query_images,
        find_image=application.find_image,
        check_health=check_health,
        check_readiness=check_readiness,
        reload=reload,
        config_text=config_text,
        metrics_path=web.telemetry_path,
    )
    return SecurityMiddleware(create_app(handlers, web.prefix), security, web.allowed_hosts)


def bind_server(web: Web) -> WebServer:
    """Return a server that is bound to its addresses.

    Raises:
        ListenError: An address is malformed or cannot be bound.
    """
    try:
        server = WebServer(
            *web.listen_address,
            sockets=sockets_from_systemd(os.environ) if web.systemd_socket else (),
            connections_per_address=web.connections_per_address,
        )
        server.bind()
    except ValueError as error:
        raise ListenError(str(error)) from None
    return server


def configured_targets(config: ResolvedCloud) -> tuple[Target, ...]:
    """Return a target for each image in a cloud's settings, for all shards."""
    property_names = frozenset(config.properties)
    return tuple(
        Target(
            config.name,
            image.image_id,
            image.alias,
            expect=image.expect,
            property_names=property_names,
            label_value_limit=config.label_value_limit,
            operator_labels=image.operator_labels,
        )
        for image in config.images
    )


def _discovery_interval(config: ResolvedCloud) -> float | None:
    return config.discovery_interval if config.discover else None


def _build_authenticator(config: ResolvedCloud, source: OpenStackSource) -> Authenticator:
    return build_authenticator(
        config.name,
        source=source,
        cloud=config.cloud,
        region=config.region,
        image_service_name=config.image_service_name,
        interface=config.interface,
        config_file=config.os_client_config,
        endpoint=config.endpoint,
        token=config.token.get_secret_value() if config.token else None,
        token_file=config.token_file,
        timeout=config.timeout,
    )


def _tls_files_identity(config: ResolvedCloud, tls: ClientTls, shared_files: _SharedFiles) -> bytes:
    """Return the identity of the contents of the CA bundle and the client certificate.

    Args:
        config: The settings of the cloud.
        tls: The certificates of the cloud.
        shared_files: The certificates that were read so far; extended here.

    Raises:
        CloudConfigError: A file cannot be used.
    """
    url = config.endpoint or ANY_HTTPS_URL
    if not url.startswith("https:"):
        return b""
    settings = proxy_settings_for(url, tls)
    effective = ClientTls(settings.verify, settings.cert)
    identities = shared_files.tls_identities
    if effective not in identities:
        shared_files.watch(map(Path, effective.paths))
        try:
            files = read_tls_files(effective)
        except TlsFileError as error:
            raise CloudConfigError(f"cloud {config.name!r}: {error}") from None
        identities[effective] = identity_of(*((name, content.hex()) for name, content in files))
    return identities[effective]
