"""The Dockerfile and .dockerignore: what can be said of them without a build."""

import json
import re
import subprocess
from pathlib import Path

from tests.container.build import BASE, ROOT

TEXT = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").splitlines()


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of this name, in their order."""
    return re.findall(rf"^{name} +(.*)$", TEXT, re.MULTILINE)


def test_the_linter_is_silent(hadolint: Path) -> None:
    """Hadolint finds nothing to say, and is told to overlook nothing."""
    command = [str(hadolint), "--no-color", "--failure-threshold=style", str(ROOT / "Dockerfile")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert "hadolint" not in TEXT
    assert not [*ROOT.glob(".hadolint*")]


def test_both_stages_have_one_base() -> None:
    """What the first stage makes runs on the second one's Python."""
    assert instructions("FROM") == [f"{BASE} AS build", BASE]


def test_packages_come_from_the_locks() -> None:
    """What pip installs is of a lock, with its hashes, or was built here."""
    installs = [
        part.strip()
        for line in instructions("RUN")
        for part in line.split("&&")
        if "pip install" in part or "pip wheel" in part
    ]
    for each in installs:
        from_lock = "--require-hashes" in each and "--only-binary=:all:" in each
        assert from_lock or "--no-index" in each or "--no-build-isolation" in each, each
    assert len(installs) == 4


def test_nothing_of_this_network_is_written() -> None:
    """No index, no proxy and no certificate stands in the Dockerfile."""
    assert not re.search(
        r"index-url|trusted-host|proxy|find-links|\.pem|\.crt", TEXT, re.IGNORECASE
    )


def test_the_program_is_started_without_a_shell() -> None:
    """Entry point, command and health check are lists, so signals reach the exporter itself."""
    (entry,), (command,) = instructions("ENTRYPOINT"), instructions("CMD")
    (health,) = re.findall(r"HEALTHCHECK .* CMD (.*)", TEXT)
    assert json.loads(entry) == ["openstack-image-exporter"]
    assert json.loads(command) == ["run"]
    assert json.loads(health)[0] == "python"


def test_only_what_is_copied_is_sent() -> None:
    """The context is all that the Dockerfile copies, and nothing else that lies about."""
    first, *others = [line for line in IGNORED if not line.startswith("#")]
    sent = {line.removeprefix("!") for line in others if line.startswith("!")}
    copied = {
        word
        for line in instructions("COPY")
        if not line.startswith("--from")
        for word in line.split()[:-1]
    }
    assert first == "*"
    assert sent == copied
    assert all((ROOT / name).exists() for name in copied)
