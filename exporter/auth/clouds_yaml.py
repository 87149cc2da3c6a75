"""clouds.yaml, secure.yaml and the ``OS_*`` variables, as openstacksdk reads them."""

import json
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import yaml
from keystoneauth1.exceptions import ClientException
from openstack.config import loader
from openstack.config.cloud_region import CloudRegion
from openstack.exceptions import ConfigException
from openstack.warnings import ConfigurationWarning

from exporter.auth.base import CloudConfigError
from exporter.auth.errors import one_line, secrets_of

_LEAKY_LOGGERS = ("keystoneauth", "openstack")
_TAKES_A_PERSON = {"v3websso", "v3oidcdeviceauthz"}


def load(cloud: str | None, region: str | None, interface: str | None) -> CloudRegion:
    """One region of the entry ``cloud``, or of what ``OS_*`` describe where that is None.

    No request is made, unless the entry's profile is a URL. Raises ``CloudConfigError``.
    """
    # They log tokens at DEBUG and lines of broken files, passwords included, at WARNING.
    for name in _LEAKY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    _check_file("OS_CLIENT_CONFIG_FILE", loader.CONFIG_FILES)
    _check_file("OS_CLIENT_SECURE_FILE", loader.SECURE_FILES)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = _load(cloud, region, interface)
    for warning in told:
        if issubclass(warning.category, ConfigurationWarning):
            raise CloudConfigError(one_line(str(warning.message), ()))
    return found


def _load(cloud: str | None, region: str | None, interface: str | None) -> CloudRegion:
    secrets: set[str] = set()
    where = _label(cloud)
    try:
        config = loader.OpenStackConfig(pw_func=_refuse_to_ask)
        secrets = secrets_of(config.cloud_config)
        where = _label(cloud or config.default_cloud, config.config_filename)
        _check_known(config, cloud or config.default_cloud)
        found = config.get_one(cloud=cloud, region_name=region, interface=interface)
    except (ClientException, ConfigException) as error:
        detail = one_line(str(error), secrets)
    except TypeError as error:  # an option that is missing or that the plugin does not know
        detail = f"cannot be understood: {one_line(str(error), secrets)}"
    except CloudConfigError as error:
        detail = str(error)
    except Exception as error:  # noqa: BLE001  # openstacksdk checks no types in the files
        detail = f"cannot be understood ({type(error).__name__})"
    else:
        auth_type = found.config["auth_type"]
        if auth_type not in _TAKES_A_PERSON and not found.config["auth"].get("idp_otp_key"):
            return found
        detail = f"auth_type {auth_type} asks a person, and nobody is here to answer"
    # Outside of the handlers, so that no traceback shows the original, secrets included.
    raise CloudConfigError(f"{where}: {detail}")


def _label(cloud: str | None, file: str | None = None) -> str:
    if cloud is None:
        return "the OS_* variables"
    return f"cloud {cloud!r}" + (f" in {file}" if file else "")


def _check_known(config: loader.OpenStackConfig, cloud: str | None) -> None:
    names = config.get_cloud_names()
    # Without files and variables openstacksdk makes an empty cloud of that name up.
    made_up = cloud == "defaults" and config.config_filename is None
    if cloud in names and not made_up:
        return
    if config.config_filename is None:
        fault = f"no clouds.yaml was found; looked at {', '.join(_looked_at())}"
    else:
        fault = f"no such cloud; known are {', '.join(map(repr, names))}"
    if cloud is None or made_up:
        fault = f"neither `cloud` nor `endpoint` is given, and OS_AUTH_URL is not set; {fault}"
    raise CloudConfigError(fault)


def _looked_at() -> list[str]:
    override = os.environ.get("OS_CLIENT_CONFIG_FILE")
    folders = dict.fromkeys(loader.CONFIG_SEARCH_PATH)
    return [*([override] if override else []), *(f"{folder}/clouds.yaml" for folder in folders)]


def _check_file(variable: str, paths: Sequence[str]) -> None:
    """Refuse the broken file that openstacksdk would pass over in favour of the next one."""
    override = os.environ.get(variable)
    if override and not Path(override).exists():
        raise CloudConfigError(f"{variable}={override}: there is no such file")
    file = next((path for path in [*filter(None, [override]), *paths] if Path(path).exists()), None)
    if file is None:
        return
    fault = ""
    try:
        content = Path(file).read_text(encoding="utf-8")
        parsed = json.loads(content) if file.endswith("json") else yaml.safe_load(content)
        clouds = parsed.get("clouds", {}) if isinstance(parsed, dict) else None
        if not isinstance(clouds, dict):
            fault = "holds no mapping `clouds`"
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    except yaml.MarkedYAMLError as error:
        # Only where: the words of the error quote the file.
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        fault = f"is not valid YAML{place}"
    except json.JSONDecodeError as error:
        fault = f"is not valid JSON, line {error.lineno}, column {error.colno}"
    except (ValueError, yaml.YAMLError):
        fault = "is not text in UTF-8"
    if fault:
        raise CloudConfigError(f"{file}: {fault}")


def _refuse_to_ask(prompt: str | None = None) -> NoReturn:
    raise CloudConfigError(f"auth lacks the {(prompt or 'secret').strip(': ').lower()}")
