"""Choice of the endpoint in catalogs that leave a choice: never by their order."""

import itertools
from collections.abc import Sequence

import pytest
from keystoneauth1.access.service_catalog import ServiceCatalogV3

from exporter.auth.base import AuthError
from exporter.auth.catalog import CatalogEntry, find_endpoint
from exporter.simulator.keystone import PROJECT_SCOPE, CatalogEndpoint, token_document

REGION_KEYS = "region_name in clouds.yaml, region in the settings, or OS_REGION_NAME"
SERVICE_KEYS = "image_service_name in clouds.yaml or in the settings, or OS_IMAGE_SERVICE_NAME"
ANY = CatalogEntry(None, "public")


def results(entry: CatalogEntry, *endpoints: CatalogEndpoint) -> set[str]:
    """Return the URL or the error for every order of the catalog."""
    results = set()
    for order in itertools.permutations(endpoints):
        try:
            results.add(find_endpoint(catalog(order), entry).url)
        except AuthError as error:
            results.add(str(error).removeprefix("rejected: the catalog "))
    return results


def catalog(endpoints: Sequence[CatalogEndpoint]) -> ServiceCatalogV3:
    document = token_document([], endpoints, 0, 60, PROJECT_SCOPE)
    return ServiceCatalogV3(document["token"]["catalog"])


@pytest.mark.parametrize("url", ["http://a", "http://a/v2/", "http://a/v1"])
def test_single_endpoint_needs_no_choice(url: str) -> None:
    assert results(ANY, CatalogEndpoint(url)) == {"http://a"}


def test_several_regions_are_refused_unless_one_is_named() -> None:
    endpoints = [CatalogEndpoint("http://b", "B"), CatalogEndpoint("http://a", "A")]
    assert results(ANY, *endpoints) == {
        f"has image endpoints in several regions, A, B; set {REGION_KEYS}"
    }
    assert results(CatalogEntry("B", "public"), *endpoints) == {"http://b"}


def test_regions_that_share_one_endpoint_need_no_choice() -> None:
    endpoints = [CatalogEndpoint("http://x/v2", "B"), CatalogEndpoint("http://x", "A")]
    assert results(ANY, *endpoints) == {"http://x"}


def test_regions_without_the_interface_do_not_count() -> None:
    endpoints = [CatalogEndpoint("http://b", "B", "internal"), CatalogEndpoint("http://a", "A")]
    assert results(ANY, *endpoints) == {"http://a"}


def test_several_services_are_refused_unless_one_is_named() -> None:
    endpoints = [
        CatalogEndpoint("http://old", service_name="glance-old"),
        CatalogEndpoint("http://new", service_name="glance"),
        CatalogEndpoint("http://new-inside", interface="internal", service_name="glance"),
    ]
    assert results(ANY, *endpoints) == {
        "has several image services in region RegionOne, glance, glance-old; set " + SERVICE_KEYS
    }
    entry = CatalogEntry(None, "public", service_name="glance")
    assert results(entry, *endpoints) == {"http://new"}
    entry = CatalogEntry("RegionOne", "internal")
    assert results(entry, *endpoints) == {"http://new-inside"}


def test_services_of_the_same_name_are_refused() -> None:
    services = catalog([CatalogEndpoint("http://a")]).normalize_catalog()
    other = catalog([CatalogEndpoint("http://b")]).normalize_catalog()
    other[0]["id"] = "another"
    with pytest.raises(AuthError) as caught:
        find_endpoint(ServiceCatalogV3([*services, *other]), ANY)
    assert caught.value.detail == (
        "the catalog has several image services in region RegionOne, glance, that share this "
        "name; set image_endpoint_override in clouds.yaml"
    )


def test_endpoints_of_one_service_are_chosen_by_url_and_https_first() -> None:
    endpoints = [
        CatalogEndpoint(f"{scheme}://{host}") for scheme in ("http", "https") for host in "ba"
    ]
    assert results(ANY, *endpoints) == {"https://a"}


def test_interfaces_are_preferred_in_their_order() -> None:
    endpoints = [CatalogEndpoint("http://out"), CatalogEndpoint("http://in", interface="internal")]
    assert results(CatalogEntry(None, ["internal", "public"]), *endpoints) == {"http://in"}
    assert results(CatalogEntry(None, ["publicURL"]), *endpoints) == {"http://out"}


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (
            CatalogEntry("C", "public"),
            f"has no image endpoint for region C; it has A, B; correct {REGION_KEYS}",
        ),
        (
            CatalogEntry("A", "admin"),
            "has no image endpoint for region A, interface admin; it has internal, public; correct "
            "interface, or OS_INTERFACE",
        ),
        (
            CatalogEntry(None, ["admin", "outer"]),
            "has no image endpoint for region any, interface admin or outer; it has internal, "
            "public; correct interface, or OS_INTERFACE",
        ),
        (
            CatalogEntry("A", "public", service_name="grance"),
            f"has no image service named grance; it has glance; correct {SERVICE_KEYS}",
        ),
        (
            CatalogEntry("A", "public", service_type="img"),
            "has no img endpoint; service types in it: compute, image; correct "
            "image_service_type, or the project",
        ),
    ],
)
def test_unknown_choice_is_refused_with_what_exists(entry: CatalogEntry, error: str) -> None:
    assert results(
        entry,
        CatalogEndpoint("http://a", "A"),
        CatalogEndpoint("http://b", "B"),
        CatalogEndpoint("http://a-inside", "A", "internal"),
        CatalogEndpoint("http://nova", "D", service_type="compute"),
    ) == {error}


def test_empty_catalog_is_refused() -> None:
    assert results(ANY) == {
        "has no image endpoint; service types in it: none; correct image_service_type, or the "
        "project"
    }


def test_names_in_errors_are_limited_and_harmless() -> None:
    endpoints = [
        CatalogEndpoint(f"http://{index}", f"r{index}\n" + "x" * 999) for index in range(40)
    ]
    with pytest.raises(AuthError) as caught:
        find_endpoint(catalog(endpoints), ANY)
    assert " and 30 more; set " in caught.value.detail
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 1000
