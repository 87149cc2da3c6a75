"""The pods of k8s/, as far as a box goes: the image with their arguments, variables and files."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from tests.container.box import Box, Image
from tests.k8s.manifest import Manifest, Workload, of_kind, probes, workloads
from tests.k8s.programs import program
from tests.k8s.rendering import COMBINATIONS, combined
from tests.support.program import BOUND
from tests.support.wait import wait_until

POD = "openstack-image-exporter-1"
NAMES = ("single", "sharded", "single with TLS", "sharded with TLS")


@pytest.fixture(params=NAMES)
def manifests(request: pytest.FixtureRequest, tmp_path: Path) -> list[Manifest]:
    """The manifests of a combination, with a certificate that is one."""
    (folder := tmp_path / "kustomization").mkdir()
    made = combined(program("kubectl"), folder, *COMBINATIONS[request.param])
    authority = trustme.CA()
    certificate = authority.issue_cert("openstack-image-exporter.openstack-image-exporter.svc")
    for secret in of_kind(made, "Secret"):
        if "tls.crt" in secret["stringData"]:
            secret["stringData"] = {
                "tls.crt": certificate.cert_chain_pems[0].bytes().decode(),
                "tls.key": certificate.private_key_pem.bytes().decode(),
                "ca.crt": authority.cert_pem.bytes().decode(),
            }
    return made


def mounted(workload: Workload, manifests: list[Manifest], folder: Path) -> dict[str, Path]:
    """The files of its volumes, by their places in the pod."""
    there = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
    files = {}
    for number, mount in enumerate(workload.containers[0]["volumeMounts"]):
        volume = workload.volumes[mount["name"]]
        if "configMap" in volume:
            content = there["ConfigMap", volume["configMap"]["name"]]["data"]
        else:
            content = there["Secret", volume["secret"]["secretName"]]["stringData"]
        for key, text in content.items():
            path = folder / f"{number}-{key}"
            path.write_text(text)
            files[f"{mount['mountPath']}/{key}"] = path
    return files


def environ(container: Manifest) -> Mapping[str, str]:
    """The variables of the second pod of those that the workload makes."""
    variables = container.get("env", ())
    assert all("value" in each or "fieldRef" in each["valueFrom"] for each in variables)
    return {each["name"]: each.get("value", POD) for each in variables}


def test_a_pod_starts(image: Image, tmp_path: Path, manifests: list[Manifest]) -> None:
    """It takes its settings, and its probes find it alive; a shard knows which one it is."""
    (workload,) = workloads(manifests)
    (container,) = workload.containers
    files = mounted(workload, manifests, tmp_path)
    user = workload.pod["securityContext"]["runAsUser"]
    variables = environ(container)
    log = tmp_path / "log"
    with Box(image, container["args"], log, files, variables, user) as box:
        asked = dict(probes(container))["livenessProbe"]
        if "exec" in asked:
            argv = asked["exec"]["command"]
            wait_until(
                lambda: box.run(*argv) == (0, "200 Healthy\n"), 2 * BOUND, details=log.read_text
            )
        else:
            path = asked["httpGet"]["path"]
            wait_until(lambda: box.get(path), 2 * BOUND, details=log.read_text)
            metrics = box.get("/metrics") or ""
            assert 'openstack_image_target_info{cloud="mycloud"' in metrics or variables
            if variables:
                assert "openstack_image_exporter_shard_index 1.0" in metrics
                assert "openstack_image_exporter_shards 3.0" in metrics
        assert box.end() == 0
