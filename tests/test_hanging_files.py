"""Files on a network file system that does not respond."""

import threading
from pathlib import Path

from exporter.config import Settings, SettingsError
from tests.reloading import cloud, exporting
from tests.support.program import GOLDEN
from tests.support.wait import DEADLINE


def test_reload_that_hangs_delays_neither_scrapes_nor_the_end(tmp_path: Path) -> None:
    hangs, is_over = threading.Event(), threading.Event()

    def hang() -> Settings:
        hangs.set()
        is_over.wait(DEADLINE)
        raise SettingsError("cannot be read")

    with exporting(tmp_path, cloud("http://127.0.0.1:1", GOLDEN)) as exporter:
        exporter.reloader.load_settings = hang
        reload = threading.Thread(target=exporter.reloader.reload, args=("test",))
        reload.start()
        assert hangs.wait(DEADLINE)
        assert "openstack_image_target_info" in exporter.text()
        assert reload.is_alive()
    # Everything has stopped by now.
    assert reload.is_alive()
    is_over.set()
    reload.join()
