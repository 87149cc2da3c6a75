"""Files on a network file system that does not respond."""

import threading
from pathlib import Path

import pytest

from exporter.auth import token_file
from exporter.config import Settings, SettingsError
from exporter.files import FileFingerprint
from tests.reloading import ReloadableExporter, cloud, exporting
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


def test_token_file_that_hangs_delays_neither_scrapes_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, is_over = threading.Event(), threading.Event()

    def hang(_: Path) -> tuple[FileFingerprint, str]:
        hangs.set()
        is_over.wait(DEADLINE)
        raise OSError("cannot be read")

    file = tmp_path / "token"
    file.write_text("abc")
    monkeypatch.setattr(token_file, "CHECK_INTERVAL", 0.0)
    exporter = ReloadableExporter(
        tmp_path, {**cloud("http://127.0.0.1:1", GOLDEN), "token_file": str(file)}
    )
    try:
        exporter.wait_for_cycle()
        monkeypatch.setattr(token_file, "_read_token", hang)
        file.write_text("another")
        exporter.run_cycle_now()
        assert hangs.wait(DEADLINE)
        assert "openstack_image_target_info" in exporter.text()
        exporter.application.close()
        assert not is_over.is_set()
    finally:
        is_over.set()
        exporter.close()
