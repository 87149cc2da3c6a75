"""The pods of k8s/: the image with their arguments, variables and files."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from tests.container.container import Container, Image
from tests.k8s.manifest import Manifest, Workload, of_kind, probes, workloads
from tests.k8s.programs import program
from tests.k8s.rendering import COMBINATIONS, combined
from tests.support.program import BOUND
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

POD = "openstack-image-exporter-1"
NAMES = ("single", "sharded", "single with TLS", "sharded with TLS")


@pytest.fixture(params=NAMES)
def manifests(request: pytest.FixtureRequest, tmp_path: Path) -> list[Manifest]:
    """Return the manifests of a combination, with a real certificate."""
    (folder := tmp_path / "kustomization").mkdir()
    rendered = combined(program("kubectl"), folder, *COMBINATIONS[request.param])
    authority = trustme.CA()
    certificate = authority.issue_cert("openstack-image-exporter.openstack-image-exporter.svc")
    for secret in of_kind(rendered, "Secret"):
        if "tls.crt" in secret["stringData"]:
            secret["stringData"] = {
                "tls.crt": certificate.cert_chain_pems[0].bytes().decode(),
                "tls.key": certificate.private_key_pem.bytes().decode(),
                "ca.crt": authority.cert_pem.bytes().decode(),
            }
    return rendered


def mounted(workload: Workload, manifests: list[Manifest], folder: Path) -> dict[str, Path]:
    """Write the files of its volumes; return them by their path in the pod."""
    by_name = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}
    files = {}
    for number, mount in enumerate(workload.containers[0]["volumeMounts"]):
        volume = workload.volumes[mount["name"]]
        if "configMap" in volume:
            content = by_name["ConfigMap", volume["configMap"]["name"]]["data"]
        else:
            content = by_name["Secret", volume["secret"]["secretName"]]["stringData"]
        for key, text in content.items():
            path = folder / f"{number}-{key}"
            path.write_text(text)
            files[f"{mount['mountPath']}/{key}"] = path
    return files


def environ(container: Manifest) -> Mapping[str, str]:
    """Return the environment variables of the workload's second pod."""
    variables = container.get("env", ())
    assert all("value" in entry or "fieldRef" in entry["valueFrom"] for entry in variables)
    return {entry["name"]: entry.get("value", POD) for entry in variables}


def test_pod_starts_and_its_liveness_probe_succeeds(
    image: Image, tmp_path: Path, manifests: list[Manifest]
) -> None:
    """A sharded pod knows its index."""
    (workload,) = workloads(manifests)
    (spec,) = workload.containers
    files = mounted(workload, manifests, tmp_path)
    user = workload.pod["securityContext"]["runAsUser"]
    variables = environ(spec)
    log = tmp_path / "log"
    with Container(image, spec["args"], log, files, variables, user) as container:
        probe = dict(probes(spec))["livenessProbe"]
        if "exec" in probe:
            argv = probe["exec"]["command"]
            wait_until(
                lambda: container.run(*argv) == (0, "200 Healthy\n"),
                2 * BOUND,
                details=log.read_text,
            )
        else:
            path = probe["httpGet"]["path"]
            wait_until(lambda: container.get(path), 2 * BOUND, details=log.read_text)
            metrics = container.get("/metrics") or ""
            assert 'openstack_image_target_info{cloud="mycloud"' in metrics or variables
            if variables:
                assert "openstack_image_exporter_shard_index 1.0" in metrics
                assert "openstack_image_exporter_shards 3.0" in metrics
        assert container.stop() == 0
