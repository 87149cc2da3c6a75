"""No output of the program contains any of the secrets in its configuration."""

import base64
import contextlib
import http.client
import signal
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
from exporter.simulator.keystone import SimulatedKeystone
from tests.support.fakes.proxy import FakeProxy
from tests.support.program import BOUND, GOLDEN, Program, run_program, simulated, start_program
from tests.support.wait import wait_until
from tests.support.web_config import WebConfigFolder, basic_auth_header

pytestmark = pytest.mark.slow

PASSWORD = "pass-of-the-account-1"
CREDENTIAL = "secret-of-the-credential-2"
TOKEN = "token-of-the-settings-3"
FILE_TOKEN = "token-of-the-file-4"
PROXY_PASSWORD = "pass-of-the-proxy-5"
WEB_PASSWORD = "pass-of-the-pages-6"
PASSWORD_HASH = bcrypt.hashpw(WEB_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
SECRETS = (PASSWORD, CREDENTIAL, TOKEN, FILE_TOKEN, PROXY_PASSWORD, WEB_PASSWORD, PASSWORD_HASH)
PATHS = ("/", "/metrics", "/api/images", "/config", "/-/healthy", "/-/ready", "/none")
CLOUD = {"name": "n", "cloud": "password", "images": [GOLDEN]}
CLOUDS = ("password", "credential", "token", "file", "proxy")


class CollectedOutput:
    """All output of a run."""

    def __init__(self, key: str) -> None:
        self.texts: dict[str, str] = {}
        # Every line of a key in PEM is a secret of its own.
        self.secrets = [*SECRETS, *(line for line in key.splitlines() if "-----" not in line)]

    def add(self, source: str, text: str) -> None:
        """Add a text."""
        self.texts[f"{len(self.texts)}: {source}"] = text

    def leaks(self) -> list[tuple[str, str]]:
        """Return the secrets that appear in a text, unchanged or encoded, with its source."""
        leaks = []
        for secret in {*self.secrets}:
            # The redactor also finds secrets that are percent-encoded, quoted, or in base64 at
            # any position.
            redactor = Redactor([secret])
            for source, text in self.texts.items():
                if secret in text or redactor.redact(text) != text:
                    leaks.append((secret, source))
        return leaks


@pytest.fixture
def folder(tmp_path: Path) -> WebConfigFolder:
    return WebConfigFolder(tmp_path)


@pytest.fixture
def key(folder: WebConfigFolder) -> str:
    """Move the key of the certificate into the web configuration file, and return it."""
    text = (folder.path / "key.pem").read_text()
    folder.write(web_file(folder))
    (folder.path / "key.pem").unlink()
    return text


def web_file(folder: WebConfigFolder) -> str:
    """Return a web configuration that contains a key and a password hash."""
    return (
        f"tls_server_config:\n  cert_file: cert.pem\n  key: {folder.inline('key.pem')}\n"
        f"basic_auth_users: {{dave: '{PASSWORD_HASH}'}}\n"
    )


def clouds_yaml(folder: Path, auth_url: str, password: str) -> None:
    """Write clouds.yaml with one entry for each authentication method of Keystone."""
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
    """Write a configuration with a cloud for each kind of secret; return its argument."""
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
    """Start the daemon with debug logs; also yield the environment variables with secrets."""
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
    with start_program(
        folder.path, *argv, stdout_to=None, is_preloaded=True, **variables
    ) as program:
        yield program, variables


def pages(folder: WebConfigFolder, program: Program, output: CollectedOutput) -> None:
    """Collect every page, with and without the password, in every format."""
    for headers in (
        basic_auth_header("dave", WEB_PASSWORD),
        {**basic_auth_header("dave", WEB_PASSWORD), "Accept": "application/openmetrics-text"},
        basic_auth_header("dave", "wrong"),
        {},
    ):
        for path in PATHS:
            status, head, body = request(folder, program, path, headers)
            if path == "/config":
                may_read = basic_auth_header("dave", WEB_PASSWORD).items() <= headers.items()
                assert (status, "clouds:" in body) == ((200, True) if may_read else (401, False))
            output.add(f"{path}: {status}", f"{head}\n{body}")


def request(
    folder: WebConfigFolder,
    program: Program,
    path: str,
    headers: dict[str, str],
    method: str = "GET",
) -> tuple[int, str, str]:
    """Return the status, headers and body of a page."""
    context = ssl.create_default_context(cafile=str(folder.path / "ca.pem"))
    connection = http.client.HTTPSConnection(
        "localhost", program.port, context=context, timeout=BOUND
    )
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, str(response.headers), response.read().decode()


def reload(folder: WebConfigFolder, program: Program) -> tuple[int, str]:
    """Request a reload; return the status and the body of the response."""
    status, _, body = request(
        folder, program, "/-/reload", basic_auth_header("dave", WEB_PASSWORD), "POST"
    )
    return status, body


def stop(program: Program, output: CollectedOutput) -> None:
    """Stop the program, and collect its command line and its output."""
    process = Path(f"/proc/{program.process.pid}")
    output.add("cmdline", (process / "cmdline").read_text())
    output.add("comm", (process / "comm").read_text())
    program.stop()
    output.add("log", "\n".join(program.log_lines))
    output.add("stdout", program.stdout)


def wait_until_polled(folder: WebConfigFolder, program: Program, failing: int) -> None:
    """Wait until all clouds have been polled and this number of polls fail."""

    def is_polled() -> bool:
        _, _, text = request(folder, program, "/metrics", basic_auth_header("dave", WEB_PASSWORD))
        cycles = text.count("\nopenstack_image_exporter_last_cycle_timestamp_seconds{")
        failed = sum(
            line.endswith(" 0.0")
            for line in text.splitlines()
            if line.startswith("openstack_image_poll_success{")
        )
        return cycles == len(CLOUDS) and failed == failing

    wait_until(is_polled)


def test_successful_run_shows_no_secret(folder: WebConfigFolder, key: str) -> None:
    """With all authentication methods, a proxy, and reloads of secrets in wrong places."""
    output = CollectedOutput(key)
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
            wait_until_polled(folder, program, failing=1)
            assert any("Proxy-Authorization" in head for head in proxy.heads)
            pages(folder, program, output)

            settings(folder.path, service.url, log={"format": "json"})
            assert reload(folder, program) == (200, "")
            for wrong in wrong_settings(folder, service.url):
                status, body = reload(folder, program)
                assert (status, body != "") == (400, True), wrong
                output.add(f"reload: {wrong}", body)
                rejected = len(program.lines("configuration reload failed"))
                program.process.send_signal(signal.SIGHUP)
                wait_until(
                    lambda: len(program.lines("configuration reload failed")) > rejected  # noqa: B023
                )
            pages(folder, program, output)
            stop(program, output)
        sent = {record.request.headers.get("x-auth-token") for record in service.log.records}
        output.secrets += filter(None, sent)
        assert len(sent) == 4
    assert output.leaks() == []


def wrong_settings(folder: WebConfigFolder, url: str) -> Iterator[str]:
    """Write invalid configurations that contain a secret, one after the other."""
    good = yaml.safe_load((folder.path / "exporter.yml").read_text())
    web = folder.file.read_text()
    for key, value in (
        ("token", f"{TOKEN} {FILE_TOKEN}"),
        ("token", [TOKEN]),
        ("token_file", f"{FILE_TOKEN}\n"),
        ("token_file", FILE_TOKEN),
        ("endpoint", f"http://someone:{PROXY_PASSWORD}@127.0.0.1"),
        ("endpoint", f"{url}?token={TOKEN}"),
        ("interval", {"password": PASSWORD}),
    ):
        cloud = {"name": "a", "endpoint": url, "images": [GOLDEN], key: value}
        wrong = {**good, "clouds": [cloud]}
        (folder.path / "exporter.yml").write_text(yaml.safe_dump(wrong))
        yield key
    key = web.partition("key: |")[2].partition("basic_auth_users")[0]
    for value in (key, base64_of_key(web)):
        file = {**good, "os_client_config": value}
        (folder.path / "exporter.yml").write_text(yaml.safe_dump(file))
        yield "os_client_config"
    (folder.path / "exporter.yml").write_text(yaml.safe_dump(good))
    clouds = (folder.path / "clouds.yaml").read_text()
    for value in (key, base64_of_key(web), f"password={PASSWORD}"):
        for entry in ("cacert", "verify", "cert", "key", "profile", "auth_type"):
            wrong = yaml.safe_load(clouds)
            wrong["clouds"]["password"] |= {"cert": f"{folder.path}/cert.pem", entry: value}
            (folder.path / "clouds.yaml").write_text(yaml.safe_dump(wrong))
            yield f"{entry} in clouds.yaml"
    for broken in (
        f"{clouds}  {PASSWORD}: [",
        f"{clouds}  *{PASSWORD}",
        f"{clouds}  !{PASSWORD} a",
    ):
        (folder.path / "clouds.yaml").write_text(broken)
        yield "clouds.yaml"
    (folder.path / "clouds.yaml").write_text(clouds)
    for broken in (
        web.replace("key:", "cert:"),
        web.replace("key:", "key_file:"),
        web.replace("key: |", "key_file: >-").replace("-----BEGIN", "").replace("-----END", ""),
        f"tls_server_config: {{cert_file: cert.pem, key_file: '{base64_of_key(web)}'}}\n",
        web.replace("cert.pem", base64_of_key(web)),
        web.replace("cert.pem", f"cert.pem\n  client_ca_file: '{base64_of_key(web)}'"),
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


def base64_of_key(web: str) -> str:
    """Return the key in a web configuration without its first and last line, on one line."""
    return "".join(web.partition("KEY-----")[2].partition("-----")[0].split())


def test_failing_run_shows_no_secret(folder: WebConfigFolder, key: str) -> None:
    """Keystone and the Image service refuse requests or fail, and the proxy does not exist."""
    output = CollectedOutput(key)
    with (
        SimulatedKeystone() as keystone,
        SimulatedImageService([simulated(GOLDEN)], token="another") as service,
    ):
        keystone.users = {"demo": "another"}
        keystone.offer_image(f"{service.url}/v2")
        clouds_yaml(folder.path, keystone.auth_url, PASSWORD)
        argument = settings(folder.path, service.url)
        with running(folder, argument, "http://127.0.0.1:1") as (program, variables):
            wait_until_polled(folder, program, failing=5)
            pages(folder, program, output)
            service.faults.set("status", code=500)
            wait_until(lambda: program.lines("reason=server_error"))
            pages(folder, program, output)
            (folder.path / "token").unlink()
            wait_until(lambda: program.lines("token file", "cannot be read"))
            output.add("reload", reload(folder, program)[1])
            stop(program, output)
        settings(folder.path, service.url)
        for command in (["show", GOLDEN], ["list"], ["check", "--log.level=debug"]):
            result = run_program(folder.path, *command, argument, environ=variables)
            assert result.returncode == 1
            output.add(" ".join(command), result.stdout + result.stderr)
    assert output.leaks() == []


def test_leaks_are_detected_unchanged_and_encoded(key: str) -> None:
    output = CollectedOutput(key)
    basic = base64.b64encode(f"dave:{WEB_PASSWORD}".encode()).decode()
    for text in (PASSWORD, quote(PASSWORD_HASH), f"Basic {basic}", key.splitlines()[1]):
        output.add("here", f"a {text} b")
    assert {secret for secret, _ in output.leaks()} == {
        PASSWORD,
        PASSWORD_HASH,
        WEB_PASSWORD,
        key.splitlines()[1],
    }
