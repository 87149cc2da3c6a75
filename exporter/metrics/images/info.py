"""Texts of images as the labels of series whose value is 1."""

from collections.abc import Collection, Sequence

from exporter.metrics.family import Row
from exporter.metrics.images.view import ImageView, clean_rows
from exporter.model.image import Image
from exporter.model.target import info_values


def info(views: Collection[ImageView]) -> Sequence[Row]:
    """Return the attributes of each image that exists."""
    return clean_rows(views, [_attributes(view.image) for view in views])


def _attributes(image: Image | None) -> Row:
    if image is None or not image.exists:
        return ()
    values = info_values(image)
    return (tuple([value or "" for value in values]) if None in values else values,)


def content_info(views: Collection[ImageView]) -> Sequence[Row]:
    """Return algorithm and value of the digests of each image."""
    return clean_rows(views, [view.image.digests if view.image else () for view in views])


def property_info(views: Collection[ImageView]) -> Sequence[Row]:
    """Return name and value of the exported properties of each image."""
    return clean_rows(views, [view.properties for view in views], first=1)
