"""The state of an application: collect it for the state file, and continue with it at a start."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf

from exporter.app import Application
from exporter.clock import now
from exporter.model.cloud import CloudState
from exporter.model.discovery import DiscoveredImage
from exporter.model.observation import Observation
from exporter.polling.engine.contradictions import ContradictionMemory
from exporter.polling.poller import Poller
from exporter.state.document import InvalidStateError, decode
from exporter.state.file import StateFile
from exporter.state.records import (
    ClockShift,
    CloudRecord,
    DiscoveredRecord,
    ImageRecord,
    SavedState,
    image_record,
    read_expectations,
    written_expectations,
)
from exporter.state.saving import StateSaver
from exporter.store import Store

log = logging.getLogger(__name__)

Redact = Callable[[str], str]
"""Returns a text without the secrets in it."""


def state_saver(application: Application, file: StateFile, redact: Redact) -> StateSaver:
    """Return what writes the state of an application into its file, without starting it."""
    return StateSaver(
        file,
        lambda: collect(application, redact),
        lambda: application.store.revision,
        lambda: application.store.image_changes,
        application.exporter_metrics.record_state_write,
    )


def collect(application: Application, redact: Redact) -> SavedState:
    """Return the state of an application; its images are read while they are written."""
    shard = application.shard
    # A reload may be removing a cloud at this moment.
    states = {state.name: state for state in application.store.clouds()}
    clouds = tuple(
        _cloud_record(states[poller.cloud], poller)
        for poller in application.pollers
        if poller.cloud in states
    )
    images = _image_records(application.store, redact)
    return SavedState(now(), (shard.index, shard.total), clouds, images)


def continue_from(application: Application, file: StateFile) -> None:
    """Continue with the state in a file. A file that cannot be used is set aside.

    Called before the first request.

    Raises:
        StateFileError: The file cannot be read, or not be set aside.
    """
    try:
        content = file.read()
        if content is None:
            return
        state = decode(content)
    except InvalidStateError as error:
        fields = {"file": str(file.path), "error": str(error), "kept_as": str(file.set_aside())}
        log.warning("state file cannot be used, starting without it", extra={"fields": fields})
        return
    moment = now()
    restored = restore(application, state, ClockShift.between(state.saved_at, moment))
    # Otherwise a first write that hangs looks as if there was no state file.
    application.exporter_metrics.record_state_write(state.saved_at.wall)
    age = max(0.0, moment.wall - state.saved_at.wall)
    log.info(
        "continuing with the state file",
        extra={"fields": {"file": str(file.path), "images": restored, "age": f"{age:.0f}s"}},
    )


def restore(application: Application, state: SavedState, shift: ClockShift) -> int:
    """Continue with a state, as a new poller does at a reload; return the number of images.

    Clouds and images that are not configured any more are forgotten.
    """
    is_same_shard = state.shard == (application.shard.index, application.shard.total)
    for record in state.clouds:
        cloud = application.clouds.get(record.name)
        if cloud is None:
            continue
        _restore_cloud(application.store, cloud.poller, record, shift)
        if is_same_shard:
            _restore_discovery(cloud.poller, record, shift)
        application.set_targets(cloud)
    watched = application.store.targets()
    records = [record for record in state.images if record.key in watched]
    application.store.restore(
        {record.key: shift.observation(record) for record in records},
        [event for record in records for event in shift.events(record)],
    )
    return len(records)


def _image_records(store: Store, redact: Redact) -> Iterator[ImageRecord]:
    for key in store.targets():
        image = store.find(key)
        if image is not None and image.observation.polled_at is not None:
            yield image_record(key, _redacted(image.observation, redact), image.changes)


def _redacted(observation: Observation, redact: Redact) -> Observation:
    """Return an observation without secrets, which a service may repeat in an error."""
    failure = observation.failure
    if failure is None:
        return observation
    return replace(observation, failure=replace(failure, detail=redact(failure.detail)))


def _cloud_record(state: CloudState, poller: Poller) -> CloudRecord:
    memory = poller.contradiction_memory
    discovered, resolved = poller.discovery.memory() if poller.discovery else ({}, {})
    return CloudRecord(
        state.name,
        contradictions=state.contradictions,
        contradicted_at=state.contradicted_at,
        contradicted_until=None if memory.until == -inf else memory.until,
        longest_run=memory.longest_run,
        mass_disappearance=state.mass_disappearance,
        discovered={
            image_id: DiscoveredRecord(
                image.label,
                image.matches,
                image.gone_since,
                written_expectations(image.expect),
                image.operator_labels,
            )
            for image_id, image in discovered.items()
        },
        resolved=dict(resolved),
        resolved_changes=dict(state.resolved_changes),
    )


def _restore_cloud(store: Store, poller: Poller, record: CloudRecord, shift: ClockShift) -> None:
    if record.contradicted_until is not None:
        until = shift.monotonic(record.contradicted_until)
        poller.remember_contradictions(ContradictionMemory(until, record.longest_run))

    def restored(state: CloudState) -> CloudState:
        changes = {
            alias: record.resolved_changes.get(alias, count)
            for alias, count in state.resolved_changes.items()
        }
        return replace(
            state,
            contradictions=record.contradictions,
            contradicted_at=record.contradicted_at,
            mass_disappearance=record.mass_disappearance,
            resolved_changes=changes,
        )

    store.update_cloud(record.name, restored)


def _restore_discovery(poller: Poller, record: CloudRecord, shift: ClockShift) -> None:
    if poller.discovery is None:
        return
    discovered = {
        image_id: DiscoveredImage(
            image.label,
            image.matches,
            None if image.gone_since is None else shift.monotonic(image.gone_since),
            read_expectations(image.expect),
            image.operator_labels,
        )
        for image_id, image in record.discovered.items()
    }
    poller.discovery.continue_with(discovered, record.resolved)
