"""Detection of changed files."""

from pathlib import Path

from exporter.files import WatchedFile


def test_changed_file_is_reported_once_after_it_is_stable(tmp_path: Path) -> None:
    """Changes are: written, replaced by a symbolic link above it, and removed."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "file").write_text("{}")
    (real / "file").write_text("1")
    link.symlink_to(real)
    watched = WatchedFile(link / "file")
    assert [watched.changed() for _ in range(3)] == [False] * 3

    def swap() -> None:
        (tmp_path / "fresh").symlink_to(tmp_path / "next")
        (tmp_path / "fresh").rename(link)

    for change in (
        lambda: (real / "file").write_text("12"),
        swap,
        (tmp_path / "next" / "file").unlink,
    ):
        change()
        assert [watched.changed() for _ in range(4)] == [False, True, False, False]
    # A file that is still being written has not changed yet.
    for text in ("1", "12", "123"):
        (link / "file").write_text(text)
        assert not watched.changed()
    assert watched.changed()


def test_file_that_becomes_readable_has_changed(tmp_path: Path) -> None:
    """A failed reload is repeated once the permissions are corrected."""
    file = tmp_path / "file"
    file.write_text("1")
    file.chmod(0o000)
    watched = WatchedFile(file)
    file.chmod(0o440)
    assert [watched.changed() for _ in range(3)] == [False, True, False]
