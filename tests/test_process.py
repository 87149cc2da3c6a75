import gc
import sys

from exporter.process import SWITCH_INTERVAL, collect_garbage_rarely, switch_threads_often


def test_rendering_a_group_of_images_collects_no_garbage() -> None:
    threshold = gc.get_threshold()
    collections: list[str] = []

    def note(phase: str, _: object) -> None:
        collections.append(phase)

    try:
        collect_garbage_rarely()
        gc.callbacks.append(note)
        rows = [(number,) for number in range(5000)]
        assert len(rows) == 5000
        assert collections == []
        assert gc.get_freeze_count() > 0
    finally:
        gc.callbacks.remove(note)
        gc.set_threshold(*threshold)
        gc.unfreeze()


def test_threads_switch_more_often_than_by_default() -> None:
    default = sys.getswitchinterval()
    try:
        switch_threads_often()
        assert sys.getswitchinterval() == SWITCH_INTERVAL < default
    finally:
        sys.setswitchinterval(default)
