"""Log lines stay one line each, whatever they are told."""

import base64
import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import logs

LOGFMT_PAIR = re.compile(r'([A-Za-z0-9_.]+)=(?:("(?:[^"\\]|\\.)*")|([^\s="\\]+))(?: |$)')
SECRET = "gAAAAAB/q+x y'\"z\\0~~~>>>???é"

Reader = Callable[[str], dict[str, object]]
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def read_logfmt(line: str) -> dict[str, object]:
    """The pairs of a logfmt line, which must be nothing but pairs, each key once."""
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
    """The values of a JSON line, each key once."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    value: dict[str, object] = json.loads(line, object_pairs_hook=once)
    return value


def as_json_reads(text: str) -> str:
    """The text with a high and a low surrogate that follow each other made into one character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


READERS: dict[logs.Format, Reader] = {"logfmt": read_logfmt, "json": read_json}
FORMATS = sorted(READERS)


def record(message: str, *args: object, **attributes: object) -> logging.LogRecord:
    """A record of the exporter's own at the start of the unix epoch, plus 1.5 seconds."""
    made = logging.LogRecord("exporter.test", logging.INFO, __file__, 1, message, args, None)
    made.created = 1.5
    vars(made).update(attributes)
    return made


def formatted(form: logs.Format, made: logging.LogRecord, *secrets: str) -> str:
    """The record's line in this format."""
    return logs.FORMATTERS[form](logs.Redaction(secrets)).format(made)


@pytest.fixture
def configured() -> Iterator[Callable[..., io.StringIO]]:
    """Configures logging to a stream, which is returned; all is as before after the test."""
    root, ours = logging.getLogger(), logging.getLogger("exporter")
    before = (root.handlers[:], root.level, ours.level, logging.raiseExceptions)
    hooks = (sys.excepthook, threading.excepthook)

    def configure(level: logs.Level = "info", form: logs.Format = "logfmt") -> io.StringIO:
        stream = io.StringIO()
        logs.configure(level, form, stream, logs.Redaction([SECRET]))
        return stream

    yield configure
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level, ours.level, logging.raiseExceptions = before
    sys.excepthook, threading.excepthook = hooks


LINES = {
    "logfmt": (
        "ts=1970-01-01T00:00:01.500Z level=info "
        'msg="Image changed" image=golden size=5 ratio=0.5 public=true old=null empty=""'
    ),
    "json": (
        '{"ts": "1970-01-01T00:00:01.500Z", "level": "info", "msg": "Image changed", '
        '"image": "golden", "size": 5, "ratio": 0.5, "public": true, "old": null, "empty": ""}'
    ),
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_line_is_time_level_message_and_fields(form: logs.Format) -> None:
    """Each format writes the time in UTC with milliseconds, the level, the message, the fields."""
    fields = {
        "image": "golden",
        "size": 5,
        "ratio": 0.5,
        "public": True,
        "old": None,
        "empty": "",
    }
    assert formatted(form, record("Image %s", "changed", fields=fields)) == LINES[form]


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
    """What could end a line or a value, or turn its direction, is written as an escape."""
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
def test_any_record_is_one_line_that_reads_back(
    form: logs.Format, message: str, fields: dict[str, object]
) -> None:
    """Whatever the message and the fields hold, one line results and gives them back."""
    line = formatted(form, record("%s", message, fields=fields))
    assert line.isprintable()
    read = READERS[form](line)
    assert list(read)[:3] == ["ts", "level", "msg"]
    assert read["msg"] == as_json_reads(message)
    values = list(read.values())[3:]
    assert len(values) == len(fields)
    for value, given_value in zip(values, fields.values(), strict=True):
        if isinstance(given_value, str):
            assert value == as_json_reads(given_value)


def test_a_field_cannot_take_the_place_of_another() -> None:
    """A field named like one that is there already gets a name of its own."""
    line = formatted("logfmt", record("m", fields={"level": "error", "a b": 1, "a=b": 2, "": 3}))
    assert line.endswith("level=info msg=m level_=error a_b=1 a_b_=2 _=3")


def test_numbers_that_json_has_not_are_texts() -> None:
    """Infinities, NaN and integers beyond 64 bits stand in quotes in JSON."""
    fields = {"a": float("inf"), "b": float("nan"), "c": 2**63, "d": 10**5000}
    read = read_json(formatted("json", record("m", fields=fields)))
    assert [read[key] for key in "abc"] == ["inf", "nan", str(2**63)]
    assert read["d"] == "<int that raised ValueError>"


def test_an_exception_is_two_fields_of_the_line() -> None:
    """The exception and its traceback are fields, on the same line."""
    try:
        raise ValueError("bad\nname")
    except ValueError:
        line = formatted("logfmt", record("m", exc_info=sys.exc_info(), stack_info="a\nb"))
    read = read_logfmt(line)
    assert read["error"] == "ValueError: bad\nname"
    assert str(read["traceback"]).startswith("Traceback (most recent call last):\n")
    assert read["stack"] == "a\nb"
    assert "\n" not in line


def test_a_message_that_does_not_fit_its_arguments_is_still_written() -> None:
    """A mistake in a log call costs neither the line nor an exception."""
    read = read_logfmt(formatted("logfmt", record("%d images", "many", fields="none")))
    assert read["msg"] == "%d images ('many',)"


def secret_forms() -> list[str]:
    """Texts in which the secret stands in one way or another."""
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
def test_secrets_are_replaced(form: logs.Format, text: str) -> None:
    """No form of a secret is written, in the message, a key, a field or an exception."""
    try:
        raise ValueError(text)
    except ValueError:
        exc_info = sys.exc_info()
    made = record("%s", text, fields={text: text, "all": [text]}, exc_info=exc_info)
    whole = formatted(form, made, SECRET)
    read = READERS[form](whole)
    assert "***" in str(read["msg"])
    for value in read.values():
        assert SECRET not in str(value)
    core = base64.b64encode(SECRET.encode())[4:-4].decode()
    assert core not in whole


def test_short_and_numeric_secrets_are_replaced() -> None:
    """A short secret is replaced where it stands as it is; an empty one is none."""
    made = record("pin 4711 NDcxMQ==", fields={"pin": 4711, "other": 12})
    line = formatted("logfmt", made, "4711", "")
    assert line.endswith('msg="pin *** NDcxMQ==" pin=*** other=12')


def test_redaction_never_shows_what_it_hides() -> None:
    """The repr of a redaction holds no secret."""
    assert repr(logs.Redaction([SECRET])) == "<Redaction of 1 secrets>"


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error", "library warning", "library error"]),
        ("info", ["info", "warning", "error", "library warning", "library error"]),
        ("warning", ["warning", "error", "library warning", "library error"]),
        ("error", ["error", "library error"]),
    ],
)
def test_libraries_are_never_heard_below_warning(
    configured: Callable[..., io.StringIO], level: logs.Level, written: list[str]
) -> None:
    """The level holds for the exporter; libraries are silent below warning, whatever is set."""
    stream = configured(level)
    for prefix, name in (("", "exporter.polling"), ("library ", "urllib3.connectionpool")):
        logger = logging.getLogger(name)
        for each in ("debug", "info", "warning", "error"):
            logger.log(logging.getLevelNamesMapping()[each.upper()], "%s%s", prefix, each)
    lines = [read_logfmt(line) for line in stream.getvalue().splitlines()]
    assert [line["msg"] for line in lines] == written
    assert {line.get("logger", "") for line in lines} == {"", "urllib3.connectionpool"}


def test_a_library_that_sets_its_own_level_is_not_heard_either(
    configured: Callable[..., io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that lowers its logger's level writes nothing below warning all the same."""
    stream = configured("debug")
    library = logging.getLogger("keystoneauth.session")
    monkeypatch.setattr(library, "level", logging.DEBUG)
    library.debug("X-Auth-Token: something")
    assert not stream.getvalue()


def test_warnings_are_log_lines(configured: Callable[..., io.StringIO]) -> None:
    """A Python warning becomes one line."""
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old\nhabits", UserWarning, stacklevel=1)
    (line,) = stream.getvalue().splitlines()
    read = read_logfmt(line)
    assert read["logger"] == "py.warnings"
    assert "UserWarning: old\nhabits" in str(read["msg"])


def test_an_exception_that_ends_a_thread_is_one_line(
    configured: Callable[..., io.StringIO],
) -> None:
    """What nothing caught in a thread is logged, and not printed; SystemExit only ends it."""
    stream = configured()

    def fail() -> None:
        raise ValueError(f"token {SECRET}")

    for target in (fail, sys.exit):
        thread = threading.Thread(target=target, name="poller")
        thread.start()
        thread.join()
    (line,) = stream.getvalue().splitlines()
    read = read_logfmt(line)
    assert read["msg"] == "Uncaught exception in a thread"
    assert read["thread"] == "poller"
    assert read["error"] == "ValueError: token ***"


def test_an_exception_that_ends_the_program_is_one_line(
    configured: Callable[..., io.StringIO],
) -> None:
    """What nothing caught in the main thread is logged as one line."""
    stream = configured()
    error = ValueError("no")
    sys.excepthook(ValueError, error, None)
    (line,) = stream.getvalue().splitlines()
    assert read_logfmt(line)["error"] == "ValueError: no"
