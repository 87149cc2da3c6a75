"""Whatever the program writes or shows, and wherever, holds none of the secrets it was given."""

import base64
import contextlib
import http.client
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bcrypt
import pytest
import yaml

from exporter.redaction import Redactor
from exporter.simulator import SimulatedImageService
from tests.support.fakes.keystone import SimulatedKeystone
from tests.support.fakes.proxy import FakeProxy
from tests.support.program import BOUND, GOLDEN, Program, run_program, simulated, start_program
from tests.support.wait import wait_until
from tests.support.web_config import WebConfigFolder, basic_auth_header

PASSWORD = "pass-of-the-account-1"
CREDENTIAL = "secret-of-the-credential-2"
TOKEN = "token-of-the-settings-3"
FILE_TOKEN = "token-of-the-file-4"
PROXY_PASSWORD = "pass-of-the-proxy-5"
WEB_PASSWORD = "pass-of-the-pages-6"
PASSWORD_HASH = bcrypt.hashpw(WEB_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
SECRETS = (PASSWORD, CREDENTIAL, TOKEN, FILE_TOKEN, PROXY_PASSWORD, WEB_PASSWORD, PASSWORD_HASH)
PATHS = ("/", "/metrics", "/api/images", "/-/healthy", "/-/ready", "/none")
CLOUDS = ("password", "credential", "token", "file", "proxy")


class Everything:
    """All that was seen of a run."""

    def __init__(self, key: str) -> None:
        self.texts: dict[str, str] = {}
        # The lines of a key in PEM are random, each for itself.
        self.secrets = [*SECRETS, *(line for line in key.splitlines() if "-----" not in line)]

    def add(self, where: str, text: str) -> None:
        """It was seen there."""
        self.texts[f"{len(self.texts)}: {where}"] = text

    def leaks(self) -> list[tuple[str, str]]:
        """Each secret that is in a text, as it is or encoded, and where."""
        found = []
        for secret in {*self.secrets}:
            # What the log redacts: percent-encoded, quoted, in base64 at any position.
            redactor = Redactor([secret])
            for where, text in self.texts.items():
                if secret in text or redactor.redact(text) != text:
                    found.append((secret, where))
        return found


@pytest.fixture
def folder(tmp_path: Path) -> WebConfigFolder:
    """A folder with certificates."""
    return WebConfigFolder(tmp_path)


@pytest.fixture
def key(folder: WebConfigFolder) -> str:
    """The key of the pages, which is in the web configuration file itself."""
    text = (folder.path / "key.pem").read_text()
    folder.write(web_file(folder))
    (folder.path / "key.pem").unlink()
    return text


def web_file(folder: WebConfigFolder) -> str:
    """A web configuration file with a key and a hash in it."""
    return (
        f"tls_server_config:\n  cert_file: cert.pem\n  key: {folder.inline('key.pem')}\n"
        f"basic_auth_users: {{dave: '{PASSWORD_HASH}'}}\n"
    )


def clouds_yaml(folder: Path, auth_url: str, password: str) -> None:
    """Two entries, one for each way to sign in with Keystone."""
    domain = {"user_domain_name": "Default", "project_domain_name": "Default"}
    entries = {
        "password": {
            "auth": {
                "auth_url": auth_url,
                "username": "demo",
                "password": password,
                "project_name": "demo",
                **domain,
            }
        },
        "credential": {
            "auth_type": "v3applicationcredential",
            "auth": {
                "auth_url": auth_url,
                "application_credential_id": "an-id",
                "application_credential_secret": CREDENTIAL,
            },
        },
    }
    (folder / "clouds.yaml").write_text(yaml.safe_dump({"clouds": entries}))


def settings(folder: Path, url: str, **general: Any) -> str:
    """A settings file with a cloud for each kind of secret, and the argument that names it."""
    (folder / "token").write_text(f"{FILE_TOKEN}\n")
    entries: list[Mapping[str, Any]] = [
        {"name": "password", "cloud": "password"},
        {"name": "credential", "cloud": "credential"},
        {"name": "token", "endpoint": url, "token": TOKEN},
        {"name": "file", "endpoint": url, "token_file": "token"},
        {"name": "proxy", "endpoint": "http://image.test:9292", "token": TOKEN},
    ]
    clouds = [{**entry, "images": [GOLDEN]} for entry in entries]
    general = {"interval": "1s", "timeout": "1s", "clouds": clouds, **general}
    (folder / "exporter.yml").write_text(yaml.safe_dump(general))
    return "--config.file=exporter.yml"


@contextlib.contextmanager
def running(
    folder: WebConfigFolder, argument: str, proxy: str
) -> Iterator[tuple[Program, dict[str, str]]]:
    """The daemon at debug level, and its environment's part that holds secrets."""
    variables = {
        "http_proxy": proxy.replace("http://", f"http://someone:{PROXY_PASSWORD}@"),
        "no_proxy": "127.0.0.1",
    }
    argv = [
        argument,
        f"--web.config.file={folder.file}",
        "--web.listen-address=127.0.0.1:0",
        "--web.enable-lifecycle",
        "--log.level=debug",
    ]
    with start_program(folder.path, *argv, stdout_to=None, **variables) as program:
        yield program, variables


def pages(folder: WebConfigFolder, program: Program, everything: Everything) -> None:
    """See every page, with and without the password, and in each format."""
    for headers in (
        basic_auth_header("dave", WEB_PASSWORD),
        {**basic_auth_header("dave", WEB_PASSWORD), "Accept": "application/openmetrics-text"},
        basic_auth_header("dave", "wrong"),
        {},
    ):
        for path in PATHS:
            status, head, body = asked(folder, program, path, headers)
            everything.add(f"{path}: {status}", f"{head}\n{body}")


def asked(
    folder: WebConfigFolder,
    program: Program,
    path: str,
    headers: dict[str, str],
    method: str = "GET",
) -> tuple[int, str, str]:
    """Status, headers and body of a page."""
    context = ssl.create_default_context(cafile=str(folder.path / "ca.pem"))
    connection = http.client.HTTPSConnection(
        "localhost", program.port, context=context, timeout=BOUND
    )
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, str(answer.headers), answer.read().decode()


def reload(folder: WebConfigFolder, program: Program) -> tuple[int, str]:
    """Status and body of a reload by request."""
    status, _, body = asked(
        folder, program, "/-/reload", basic_auth_header("dave", WEB_PASSWORD), "POST"
    )
    return status, body


def ends(program: Program, everything: Everything) -> None:
    """See how it was started and what it wrote, and end it."""
    process = Path(f"/proc/{program.process.pid}")
    everything.add("cmdline", (process / "cmdline").read_text())
    everything.add("comm", (process / "comm").read_text())
    program.stop()
    everything.add("log", "\n".join(program.log_lines))
    everything.add("stdout", program.stdout)


def until_polled(folder: WebConfigFolder, program: Program, failing: int) -> None:
    """Wait until each cloud has been polled and so many of their polls fail."""

    def is_polled() -> bool:
        _, _, text = asked(folder, program, "/metrics", basic_auth_header("dave", WEB_PASSWORD))
        cycles = text.count("\nopenstack_image_exporter_last_cycle_timestamp_seconds{")
        failed = sum(
            line.endswith(" 0.0")
            for line in text.splitlines()
            if line.startswith("openstack_image_poll_success{")
        )
        return cycles == len(CLOUDS) and failed == failing

    wait_until(is_polled)


def test_no_secret_is_shown_by_a_run_that_goes_well(folder: WebConfigFolder, key: str) -> None:
    """Every way to sign in, a proxy, and a reload with each kind of secret in a wrong place."""
    everything = Everything(key)
    with (
        SimulatedKeystone() as keystone,
        SimulatedImageService([simulated(GOLDEN)]) as service,
        FakeProxy(b"HTTP/1.1 200 OK\r\nX-Image-Meta-Id: " + GOLDEN.encode() + b"\r\n\r\n") as proxy,
    ):
        keystone.users = {"demo": PASSWORD}
        keystone.application_credentials = {"an-id": CREDENTIAL}
        keystone.offer_image(f"{service.url}/v2")
        clouds_yaml(folder.path, keystone.auth_url, PASSWORD)
        argument = settings(folder.path, service.url)
        with running(folder, argument, proxy.url) as (program, _):
            until_polled(folder, program, failing=1)
            assert any("Proxy-Authorization" in head for head in proxy.heads)
            pages(folder, program, everything)

            assert reload(folder, program) == (200, "")
            for wrong in wrong_settings(folder, service.url):
                status, body = reload(folder, program)
                assert (status, body != "") == (400, True), wrong
                everything.add(f"reload: {wrong}", body)
            pages(folder, program, everything)
            ends(program, everything)
        sent = {each.request.headers.get("x-auth-token") for each in service.log.records}
        everything.secrets += filter(None, sent)
        assert len(sent) == 4
    assert everything.leaks() == []


def wrong_settings(folder: WebConfigFolder, url: str) -> Iterator[str]:
    """Write one file after the other that holds a secret and is refused."""
    good = yaml.safe_load((folder.path / "exporter.yml").read_text())
    web = folder.file.read_text()
    for key, value in (
        ("token", f"{TOKEN} {FILE_TOKEN}"),
        ("token", [TOKEN]),
        ("token_file", f"{FILE_TOKEN}\n"),
        ("endpoint", f"http://someone:{PROXY_PASSWORD}@127.0.0.1"),
        ("endpoint", f"{url}?token={TOKEN}"),
        ("interval", {"password": PASSWORD}),
    ):
        cloud = {"name": "a", "endpoint": url, "images": [GOLDEN], key: value}
        wrong = {**good, "clouds": [cloud]}
        (folder.path / "exporter.yml").write_text(yaml.safe_dump(wrong))
        yield key
    (folder.path / "exporter.yml").write_text(yaml.safe_dump(good))
    for broken in (
        web.replace("key:", "cert:"),
        web.replace("key:", "key_file:"),
        f"basic_auth_users: {{dave:{PASSWORD_HASH}}}\n",
        f"basic_auth_users: {{'{PASSWORD_HASH}': dave}}\n",
        web.replace("-----BEGIN", "---BEGIN"),
        web.replace("-----END", "---END"),
        web.replace("$2b$04$", "$2b$99$"),
        web.replace("dave:", "da:ve:"),
        f"basic_auth_users: '{PASSWORD_HASH}'\n",
        f"tls_server_config: '{PASSWORD_HASH}'\n",
        f"rate_limit: {{burst: 1, interval: 1s}}\nbasic_auth_users: ['{PASSWORD_HASH}']\n",
        f"{web}  {PASSWORD_HASH}: [",
    ):
        folder.write(broken)
        yield broken[:20]
    folder.write(web)


def test_no_secret_is_shown_by_a_run_that_fails(folder: WebConfigFolder, key: str) -> None:
    """A Keystone and an Image service that refuse or break, and a proxy that is not there."""
    everything = Everything(key)
    with (
        SimulatedKeystone() as keystone,
        SimulatedImageService([simulated(GOLDEN)], token="another") as service,
    ):
        keystone.users = {"demo": "another"}
        keystone.offer_image(f"{service.url}/v2")
        clouds_yaml(folder.path, keystone.auth_url, PASSWORD)
        argument = settings(folder.path, service.url)
        with running(folder, argument, "http://127.0.0.1:1") as (program, variables):
            until_polled(folder, program, failing=5)
            pages(folder, program, everything)
            service.faults.set("status", code=500)
            wait_until(lambda: program.lines("reason=server_error"))
            pages(folder, program, everything)
            (folder.path / "token").unlink()
            wait_until(lambda: program.lines("token file", "cannot be read"))
            everything.add("reload", reload(folder, program)[1])
            ends(program, everything)
        settings(folder.path, service.url)
        for command in (["show", GOLDEN], ["list"], ["check", "--log.level=debug"]):
            ran = run_program(folder.path, *command, argument, environ=variables)
            assert ran.returncode == 1
            everything.add(" ".join(command), ran.stdout + ran.stderr)
    assert everything.leaks() == []


def test_a_leak_would_be_found(key: str) -> None:
    """As it is, or encoded."""
    everything = Everything(key)
    basic = base64.b64encode(f"dave:{WEB_PASSWORD}".encode()).decode()
    for text in (PASSWORD, quote(PASSWORD_HASH), f"Basic {basic}", key.splitlines()[1]):
        everything.add("here", f"a {text} b")
    assert {secret for secret, _ in everything.leaks()} == {
        PASSWORD,
        PASSWORD_HASH,
        WEB_PASSWORD,
        key.splitlines()[1],
    }
