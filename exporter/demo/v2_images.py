"""The images of the demo's second cloud, whose Image service has API v2 and a Keystone."""

from collections.abc import Mapping
from dataclasses import replace

from exporter.demo.images import BUILD, PLATFORM
from exporter.simulator.image import SimulatedImage

LIFETIME = {
    "image_build_date": "2025-06-01",
    "replace_frequency": "monthly",
    "provided_until": "2027-06-30",
    "uuid_validity": "2026-12-31",
}
"""Properties of the Sovereign Cloud Stack's standard SCS-0102."""

V2_IMAGES: Mapping[str, SimulatedImage] = {
    "ubuntu-24.04-20250601": SimulatedImage(
        "24040601-7c1d-4b2e-9f30-a1b2c3d4e5f6",
        name="ubuntu-24.04-20250601",
        size=613_416_960,
        virtual_size=3_758_096_384,
        checksum="6f1ed002ab5595859014ebf0951522d9",
        protected=True,
        visibility="public",
        created_at="2025-06-01T05:12:44.000000",
        updated_at="2025-06-01T05:14:02.000000",
        disk_format="qcow2",
        min_disk=4,
        min_ram=512,
        owner=PLATFORM,
        properties={"os_distro": "ubuntu", "os_version": "24.04", **LIFETIME},
    ),
    "debian-lts": SimulatedImage(
        "0deb1a12-4d5e-4f60-8172-839495a6b7c8",
        name="Debian 12",
        size=347_078_656,
        virtual_size=3_221_225_472,
        checksum="d8578edf8458ce06fbc5bb76a58c5ca4",
        protected=True,
        visibility="public",
        created_at="2025-05-20T13:40:02.000000",
        updated_at="2025-05-20T13:40:48.000000",
        disk_format="qcow2",
        min_disk=3,
        owner=PLATFORM,
        properties={"os_distro": "debian", "os_version": "12"},
    ),
    "debian-old": SimulatedImage(
        "0deb1a11-5e6f-4071-9283-94a5b6c7d8e9",
        name="Debian 11 (superseded)",
        size=331_350_016,
        checksum="25d55ad283aa400af464c76d713c07ad",
        visibility="public",
        hidden=True,
        created_at="2024-08-14T10:21:37.000000",
        updated_at="2025-06-01T08:00:00.000000",
        disk_format="qcow2",
        owner=PLATFORM,
        properties={"os_distro": "debian", "os_version": "11"},
    ),
    "toolbox": SimulatedImage(
        "700bb0c5-6f70-4182-93a4-a5b6c7d8e9f0",
        name="Rescue toolbox by the community",
        size=157_286_400,
        checksum="e99a18c428cb38d5f260853678922e03",
        visibility="community",
        created_at="2025-04-11T18:03:09.000000",
        updated_at="2025-04-11T18:03:31.000000",
        disk_format="iso",
        owner="c0a1e5ce0ffee4b1a5e0f1d2c3b4a596",
    ),
    "web-frontend": SimulatedImage(
        "f407e4d0-7081-4293-a4b5-b6c7d8e9f001",
        name="web-frontend-4.11",
        size=1_288_490_188,
        checksum="5f4dcc3b5aa765d61d8327deb882cf99",
        protected=True,
        created_at="2025-06-05T22:17:50.000000",
        updated_at="2025-06-05T22:19:12.000000",
        disk_format="qcow2",
        min_disk=10,
        owner=BUILD,
        tags=("golden",),
    ),
    "batch-worker": SimulatedImage(
        "ba7c400e-8192-43a4-b5c6-c7d8e9f00112",
        name="batch-worker-2.3",
        size=1_503_238_553,
        checksum="7c6a180b36896a0a8c02787eeafb0e4c",
        created_at="2025-06-08T03:44:21.000000",
        updated_at="2025-06-08T03:45:40.000000",
        disk_format="qcow2",
        min_disk=10,
        owner=BUILD,
        tags=("golden",),
    ),
}
"""The images at the start of a loop, by their alias or, if they are discovered, by their name."""

NEW_UBUNTU = replace(
    V2_IMAGES["ubuntu-24.04-20250601"],
    id="24040615-8d2e-4c3f-a041-b2c3d4e5f607",
    name="ubuntu-24.04-20250615",
    size=615_514_112,
    checksum="96e79218965eb72c92a549dd5a330112",
)
"""The image that is uploaded during a loop, and then has the alias ``ubuntu-latest``."""
