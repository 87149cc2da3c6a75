"""Log lines in both formats, with hostile text and secrets in them."""

import base64
import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import logs
from exporter.redaction import Redactor

LOGFMT_PAIR = re.compile(r'([A-Za-z0-9_.]+)=(?:("(?:[^"\\]|\\.)*")|([^\s="\\]+))(?: |$)')
SECRET = "gAAAAAB/q+x y'\"z\\0~~~>>>???é"

Reader = Callable[[str], dict[str, object]]
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def read_logfmt(line: str) -> dict[str, object]:
    """Parse a logfmt line that consists of pairs with distinct keys, and of nothing else."""
    pairs: dict[str, object] = {}
    at = 0
    while at < len(line):
        match = LOGFMT_PAIR.match(line, at)
        assert match, line[at:]
        key, quoted, bare = match.groups()
        assert key not in pairs
        pairs[key] = json.loads(quoted) if quoted else bare
        at = match.end()
    return pairs


def read_json(line: str) -> dict[str, object]:
    """Parse a JSON line with distinct keys."""

    def distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    value: dict[str, object] = json.loads(line, object_pairs_hook=distinct)
    return value


def as_json_parses(text: str) -> str:
    """Join each high surrogate with the low surrogate that follows it into one character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


READERS: dict[logs.Format, Reader] = {"logfmt": read_logfmt, "json": read_json}
FORMATS = sorted(READERS)


def record(message: str, *args: object, **attributes: object) -> logging.LogRecord:
    """Return a record of the exporter's own, 1.5 seconds after the Unix epoch."""
    log_record = logging.LogRecord("exporter.test", logging.INFO, __file__, 1, message, args, None)
    log_record.created = 1.5
    vars(log_record).update(attributes)
    return log_record


def formatted(form: logs.Format, log_record: logging.LogRecord, *secrets: str) -> str:
    return logs.FORMATTERS[form](Redactor(secrets)).format(log_record)


@pytest.fixture
def configured(restored_logging: None) -> Callable[..., io.StringIO]:  # noqa: ARG001
    """Configure logging to the returned stream."""

    def configure(level: logs.Level = "info", form: logs.Format = "logfmt") -> io.StringIO:
        stream = io.StringIO()
        logs.configure(level, form, stream, Redactor([SECRET]))
        return stream

    return configure


LINES = {
    "logfmt": (
        "ts=1970-01-01T00:00:01.500Z level=info "
        'msg="image changed" image=golden size=5 ratio=0.5 public=true old=null empty=""'
    ),
    "json": (
        '{"ts": "1970-01-01T00:00:01.500Z", "level": "info", "msg": "image changed", '
        '"image": "golden", "size": 5, "ratio": 0.5, "public": true, "old": null, "empty": ""}'
    ),
}


@pytest.mark.parametrize("form", FORMATS)
def test_line_contains_time_level_message_and_fields(form: logs.Format) -> None:
    fields = {
        "image": "golden",
        "size": 5,
        "ratio": 0.5,
        "public": True,
        "old": None,
        "empty": "",
    }
    assert formatted(form, record("image %s", "changed", fields=fields)) == LINES[form]


@pytest.mark.parametrize(
    ("hostile", "written"),
    [
        ("a\nlevel=error", r'"a\nlevel=error"'),
        ("a\r\n\t\x1b[31m", r'"a\r\n\t\u001b[31m"'),
        ("\x7f\x85", r'"\u007f\u0085"'),
        ("\u2028\u2029", r'"\u2028\u2029"'),
        ("\u202eevil\u2066", r'"\u202eevil\u2066"'),
        ("\ud800", r'"\ud800"'),
        ("\U000e0001", r'"\udb40\udc01"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("a=b", '"a=b"'),
        ("naïve-名前-😀", "naïve-名前-😀"),
    ],
)
def test_hostile_characters_are_escaped(hostile: str, written: str) -> None:
    line = formatted("logfmt", record("m", fields={"name": hostile}))
    assert line.removeprefix("ts=1970-01-01T00:00:01.500Z level=info msg=m name=") == written


@pytest.mark.parametrize("form", FORMATS)
@given(
    message=ANY_TEXT,
    fields=st.dictionaries(
        ANY_TEXT,
        ANY_TEXT | st.none() | st.booleans() | st.integers() | st.floats() | st.binary(),
        max_size=6,
    ),
)
def test_any_record_is_one_line_that_parses_to_its_values(
    form: logs.Format, message: str, fields: dict[str, object]
) -> None:
    line = formatted(form, record("%s", message, fields=fields))
    assert line.isprintable()
    parsed = READERS[form](line)
    assert list(parsed)[:3] == ["ts", "level", "msg"]
    assert parsed["msg"] == as_json_parses(message)
    values = list(parsed.values())[3:]
    assert len(values) == len(fields)
    for value, field in zip(values, fields.values(), strict=True):
        if isinstance(field, str):
            assert value == as_json_parses(field)


def test_field_with_the_key_of_another_is_renamed() -> None:
    line = formatted("logfmt", record("m", fields={"level": "error", "a b": 1, "a=b": 2, "": 3}))
    assert line.endswith("level=info msg=m level_=error a_b=1 a_b_=2 _=3")


def test_numbers_that_json_cannot_represent_are_strings() -> None:
    fields = {"a": float("inf"), "b": float("nan"), "c": 2**63, "d": 10**5000}
    parsed = read_json(formatted("json", record("m", fields=fields)))
    assert [parsed[key] for key in "abc"] == ["inf", "nan", str(2**63)]
    assert parsed["d"] == "<int that raised ValueError>"


def test_exception_and_traceback_are_fields_of_the_same_line() -> None:
    try:
        raise ValueError("bad\nname")
    except ValueError:
        line = formatted("logfmt", record("m", exc_info=sys.exc_info(), stack_info="a\nb"))
    parsed = read_logfmt(line)
    assert parsed["error"] == "ValueError: bad\nname"
    assert str(parsed["traceback"]).startswith("Traceback (most recent call last):\n")
    assert parsed["stack"] == "a\nb"
    assert "\n" not in line


def test_message_that_does_not_fit_its_arguments_is_still_written() -> None:
    parsed = read_logfmt(formatted("logfmt", record("%d images", "many", fields="none")))
    assert parsed["msg"] == "%d images ('many',)"


def secret_forms() -> list[str]:
    """Return texts that contain the secret, plain or encoded."""
    texts = {
        SECRET,
        repr(SECRET),
        json.dumps({"token": SECRET}),
        f"https://host/?token={quote_plus(SECRET)}",
        *(
            encode(before + SECRET.encode() + after).decode()
            for encode in (base64.b64encode, base64.urlsafe_b64encode)
            for before in (b"", b"u:", b"user:", b"admin:")
            for after in (b"", b"@", b"@example")
        ),
    }
    return sorted(texts)


@pytest.mark.parametrize("text", secret_forms())
@pytest.mark.parametrize("form", FORMATS)
def test_secrets_are_redacted_in_messages_keys_fields_and_exceptions(
    form: logs.Format, text: str
) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        exc_info = sys.exc_info()
    log_record = record("%s", text, fields={text: text, "all": [text]}, exc_info=exc_info)
    line = formatted(form, log_record, SECRET)
    parsed = READERS[form](line)
    assert "***" in str(parsed["msg"])
    for value in parsed.values():
        assert SECRET not in str(value)
    core = base64.b64encode(SECRET.encode())[4:-4].decode()
    assert core not in line


def test_short_secret_is_redacted_plain_but_not_encoded() -> None:
    log_record = record("pin 4711 NDcxMQ==", fields={"pin": 4711, "other": 12})
    line = formatted("logfmt", log_record, "4711", "")
    assert line.endswith('msg="pin *** NDcxMQ==" pin=*** other=12')


def test_repr_of_a_redactor_contains_no_secret() -> None:
    assert repr(Redactor([SECRET])) == "<Redactor of 1 secrets>"


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error", "library warning", "library error"]),
        ("info", ["info", "warning", "error", "library warning", "library error"]),
        ("warning", ["warning", "error", "library warning", "library error"]),
        ("error", ["error", "library error"]),
    ],
)
def test_libraries_never_log_below_warning(
    configured: Callable[..., io.StringIO], level: logs.Level, written: list[str]
) -> None:
    stream = configured(level)
    for prefix, package in (("", "exporter.polling"), ("library ", "urllib3.connectionpool")):
        logger = logging.getLogger(package)
        for name in ("debug", "info", "warning", "error"):
            logger.log(logging.getLevelNamesMapping()[name.upper()], "%s%s", prefix, name)
    lines = [read_logfmt(line) for line in stream.getvalue().splitlines()]
    assert [line["msg"] for line in lines] == written
    assert {line.get("logger", "") for line in lines} == {"", "urllib3.connectionpool"}


def test_library_that_lowers_its_own_level_logs_nothing_below_warning(
    configured: Callable[..., io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = configured("debug")
    library = logging.getLogger("keystoneauth.session")
    monkeypatch.setattr(library, "level", logging.DEBUG)
    library.debug("X-Auth-Token: something")
    assert not stream.getvalue()


def test_python_warning_is_one_line(configured: Callable[..., io.StringIO]) -> None:
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old\nhabits", UserWarning, stacklevel=1)
    (line,) = stream.getvalue().splitlines()
    parsed = read_logfmt(line)
    assert parsed["logger"] == "py.warnings"
    assert "UserWarning: old\nhabits" in str(parsed["msg"])


def test_uncaught_exception_of_a_thread_is_one_line(
    configured: Callable[..., io.StringIO],
) -> None:
    """SystemExit only ends the thread."""
    stream = configured()

    def fail() -> None:
        raise ValueError(f"token {SECRET}")

    for target in (fail, sys.exit):
        thread = threading.Thread(target=target, name="poller")
        thread.start()
        thread.join()
    (line,) = stream.getvalue().splitlines()
    parsed = read_logfmt(line)
    assert parsed["msg"] == "uncaught exception in thread"
    assert parsed["thread"] == "poller"
    assert parsed["error"] == "ValueError: token ***"


def test_uncaught_exception_of_the_main_thread_is_one_line(
    configured: Callable[..., io.StringIO],
) -> None:
    stream = configured()
    error = ValueError("no")
    sys.excepthook(ValueError, error, None)
    (line,) = stream.getvalue().splitlines()
    assert read_logfmt(line)["error"] == "ValueError: no"
