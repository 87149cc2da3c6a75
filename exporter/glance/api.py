"""The versions of the Image service API that the exporter speaks, one row each."""

from collections.abc import Callable
from dataclasses import dataclass

from exporter.glance import v1, v2
from exporter.model.outcome import Failed, Reading
from exporter.transport.response import Response


@dataclass(frozen=True, slots=True)
class Api:
    """How one version is asked: for one image, and for the list that proves that it answers.

    ``in_batches`` says that many images can be asked for at once.
    """

    version: str
    method: str
    image_path: Callable[[str], str]
    read_image: Callable[[Response, str, frozenset[str] | None], Reading]
    list_path: str
    is_list: Callable[[Response], bool]
    read_list_failure: Callable[[Response], Failed]
    in_batches: bool


V1 = Api(
    v1.VERSION,
    "HEAD",
    v1.image_path,
    v1.read_image,
    v1.LIST_PATH,
    v1.is_list,
    v1.read_list_failure,
    in_batches=False,
)
V2 = Api(
    v2.VERSION,
    "GET",
    v2.image_path,
    v2.read_image,
    v2.LIST_PATH,
    v2.is_list,
    v2.read_list_failure,
    in_batches=True,
)

APIS = {api.version: api for api in (V1, V2)}
"""Every version, by what it is called in the settings."""
