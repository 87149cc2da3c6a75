"""Globs on the names of metric families, as settings."""

from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

from exporter.config.types import Label, Metavar, refused, split_commas, unique
from exporter.metrics.selection.families import family_names, matches

MOST_SIMILAR = 3
"""Names that an error suggests."""

LEAST_SIMILARITY = 0.85
"""Ratio of difflib from which on a name is suggested; all names start alike."""


def metric_glob(glob: str) -> str:
    """Refuse a glob that matches no metric: it is a typing error, or the metric was renamed."""
    names = family_names()
    if not any(matches(name, (glob,)) for name in names):
        text = glob.replace("*", "").replace("?", "")
        near = get_close_matches(text, names, MOST_SIMILAR, LEAST_SIMILARITY)
        similar = f"did you mean {', '.join(near)}?" if near else "METRICS.md lists them all"
        raise refused(f"matches no metric; {similar}")
    return glob


MetricGlobs = Annotated[
    tuple[Annotated[Label, AfterValidator(metric_glob)], ...],
    BeforeValidator(split_commas),
    AfterValidator(unique),
    Metavar("GLOB,GLOB"),
]


class Metrics(BaseModel):
    """Metrics that are served."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    include: Annotated[MetricGlobs, NoDecode] = Field(
        default=(),
        description="Globs of the metrics of images to serve, such as `openstack_image_*_info`; "
        "those of the exporter itself are served anyway.",
        json_schema_extra={"default": "all"},
    )
    exclude: Annotated[MetricGlobs, NoDecode] = Field(
        default=(),
        description="Globs of metrics not to serve, such as `openstack_image_status`.",
        json_schema_extra={"default": "none"},
    )
