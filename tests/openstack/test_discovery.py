"""Discovery with a real Glance: its filters, and images that come and go."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.openstack.stack import OpenStack
from tests.support.program import Program, run_program, settings_file, start_program
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

EXISTS = "openstack_image_exists"
TAG = f"ours-{uuid4()}"
NAME = f"golden & co #{uuid4()}"
PROPERTY = {"os_distro": "a/b c+d=é"}


def environ(openstack: OpenStack) -> dict[str, str]:
    """Return the environment variables with the paths of the cloud's configuration."""
    return {
        "OS_CLIENT_CONFIG_FILE": str(openstack.clouds_yaml),
        "OS_CLIENT_SECURE_FILE": str(openstack.secure_yaml),
    }


@pytest.fixture
def watching(openstack: OpenStack, tmp_path: Path) -> Iterator[Program]:
    """Run an exporter with rules for an alias, a tag, and a property."""
    project = openstack.demo.project_id
    discover = [
        {"name": f"{NAME}*", "owner": project, "most_recent": True, "alias": "golden"},
        {"tag": [TAG, "second"], "visibility": "private", "status": "queued"},
        {"property": PROPERTY},
    ]
    cloud = {"name": "demo", "cloud": "demo", "discover": discover}
    pace = {"interval": "2s", "timeout": "2s", "discovery_interval": "2s", "forget_after": "10s"}
    file = settings_file(tmp_path, cloud, **pace)
    argv = (f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
    with start_program(
        tmp_path, *argv, stdout_to=None, is_preloaded=True, **environ(openstack)
    ) as program:
        yield program
        program.stop()


def test_images_are_discovered_superseded_and_deleted(
    openstack: OpenStack, watching: Program
) -> None:
    """Series of superseded images are dropped; deleted images are gone, and then dropped."""
    old, new, tagged, shared, untagged, foreign = (str(uuid4()) for _ in range(6))
    openstack.demo.create(untagged, "untagged", tags=[TAG])
    openstack.other.create(foreign, f"{NAME} of a stranger", visibility="community")
    openstack.demo.create(old, NAME)
    openstack.demo.create(tagged, "tagged", tags=["second", "third", TAG])
    openstack.other.create(shared, "offered", visibility="shared", **PROPERTY)
    openstack.other.share(shared, openstack.demo.project_id)
    for image_id, label in ((old, "golden"), (tagged, tagged), (shared, shared)):
        watching.wait_for_metric(EXISTS, 1, image_id=image_id, image=label)
    targets = {
        sample.labels["image_id"]
        for sample in watching.metrics().samples
        if sample.name == "openstack_image_target_info"
    }
    assert targets == {old, tagged, shared}

    # Glance stores whole seconds. Of two images of the same second, the ID decides which is newer.
    created = openstack.demo.created_at(old)
    wait_until(lambda: time.time() > created + 1)
    openstack.demo.create(new, f"{NAME} 2")
    watching.wait_for_metric(EXISTS, 1, image_id=new, image="golden")
    wait_until(lambda: watching.metrics().values("openstack_image_target_info", image_id=old) == [])
    watching.wait_for_metric("openstack_image_resolved_info", 1, image="golden")
    watching.wait_for_metric("openstack_image_resolved_changes_total", 1, image="golden")

    openstack.demo.delete(tagged)
    watching.wait_for_metric(EXISTS, 0, image_id=tagged)
    wait_until(lambda: watching.metrics().values(EXISTS, image_id=tagged) == [])
    assert watching.metrics().values(EXISTS) == [1, 1]


def test_list_prints_all_visible_images(openstack: OpenStack, tmp_path: Path) -> None:
    """That includes community images of other projects."""
    mine, foreign = str(uuid4()), str(uuid4())
    openstack.demo.create(mine, "mine\nof two lines")
    openstack.other.create(foreign, "theirs", visibility="community")
    file = settings_file(tmp_path, {"name": "demo", "cloud": "demo"})
    result = run_program(tmp_path, "list", f"--config.file={file}", environ=environ(openstack))
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "# demo"
    assert rf"- id: {mine}  # mine\nof two lines" in lines
    assert f"- id: {foreign}  # theirs" in lines
