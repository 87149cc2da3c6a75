"""The dashboard of the exporter: requests, responses and the pace of polling."""

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from dashboards.generate.board import board as assembled
from dashboards.generate.colors import BAD, BLUE, GOOD, ORANGE, VERMILION
from dashboards.generate.panels import (
    Frame,
    bands,
    dashed,
    lines,
    none_is_good,
    number,
    over_time,
    steps,
)
from dashboards.generate.promql import above_zero, cloud, of_exporters, process, scraped, step
from dashboards.generate.scraping import SCRAPED_WRONGLY
from dashboards.generate.words import BREAKER, CODES, REASONS, UP

UID = "openstack-images-exporter"

REQUESTS = cloud("exporter_requests_total")
DURATIONS = cloud("exporter_request_duration_seconds_bucket")
LAST_CYCLE = f"max by (cloud) ({cloud('exporter_last_cycle_duration_seconds')})"
INTERVAL = f"max by (cloud) ({cloud('exporter_cycle_interval_seconds')})"
TOKEN_LEFT = f"min by (cloud) ({cloud('exporter_token_expiry_timestamp_seconds')}) - time()"

FIXED_ENDPOINT = "No data, or no token that expires: the endpoint is fixed."


def _increase(metric: str, by: str = "cloud") -> str:
    return f"sum by ({by}) ({step(cloud(metric))})"


def _quantile(share: float) -> str:
    rates = f"sum by (le) (rate({DURATIONS}[$__rate_interval]))"
    return f"histogram_quantile({share}, {rates})"


SUMMARY = (
    number(
        Frame("Exporters down", "Exporters that Prometheus could not scrape.", 3, 4),
        f"sum({scraped('up')} == bool 0)",
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "API down",
            "Clouds without a successful request to the Image service in the last cycle.",
            3,
            4,
        ),
        f"sum(max by (cloud) ({cloud('api_up')}) == bool 0)",
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "All gone at once",
            "Clouds whose images all vanished in one cycle: check role, project, region and "
            "policy.",
            3,
            4,
        ),
        f"sum(max by (cloud) ({cloud('exporter_mass_disappearance')}))",
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Cycle / interval",
            "Duration of the slowest cloud's last cycle relative to its interval. At 100 % images "
            "are not polled in time.",
            3,
            4,
            units.PercentUnit,
        ),
        f"max({LAST_CYCLE} / {INTERVAL})",
        thresholds=steps((None, GOOD), (0.8, ORANGE), (1, BAD)),
    ),
    number(
        Frame(
            "Last cycle ended",
            "Intervals since the last completed cycle, for the cloud with the oldest one. Above 2 "
            "the poller hangs.",
            3,
            4,
            "suffix: intervals ago",
        ),
        "max((time() - max by (cloud) "
        f"({cloud('exporter_last_cycle_timestamp_seconds')})) / {INTERVAL})",
        thresholds=steps((None, GOOD), (2, ORANGE), (3, BAD)),
        decimals=1,
    ),
    number(
        Frame(
            "Token left",
            "Time until the next token expires; it is renewed before that.",
            3,
            4,
            units.Seconds,
            FIXED_ENDPOINT,
        ),
        f"min({TOKEN_LEFT})",
        thresholds=steps((None, BAD), (60, GOOD)),
    ),
    number(
        Frame(
            "Reload failed",
            "Exporters whose last reload failed; they keep the previous configuration.",
            3,
            4,
        ),
        f"sum({process('openstack_image_exporter_config_last_reload_successful')} == bool 0)",
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Scraped wrongly",
            "Exporters whose labels Prometheus renames, for example to exported_cloud, or whose "
            "metrics it drops. Panels and alerts are wrong then. If the target has a label cloud, "
            "image or image_id, rename it, or set honor_labels: true.",
            3,
            4,
        ),
        SCRAPED_WRONGLY,
        thresholds=none_is_good(),
    ),
)

SERVICE = (
    bands(
        Frame(
            "Image service",
            "Up: a request succeeded in the last cycle, with accepted credentials.",
            12,
            5,
        ),
        (over_time(f"max by (cloud) ({cloud('api_up')})", "{{cloud}}"), UP),
    ),
    bands(
        Frame(
            "Circuit breaker",
            "Open: many requests in a row failed, so the exporter sends one probe per cycle until "
            "it succeeds.",
            12,
            5,
        ),
        (over_time(f"max by (cloud) ({cloud('exporter_breaker_open')})", "{{cloud}}"), BREAKER),
    ),
    lines(
        Frame(
            "Requests by code",
            "Requests to the Image service by status code; error means no response.",
            12,
            8,
            units.RequestsPerSecond,
        ),
        over_time(
            f"sum by (code) (rate({REQUESTS}[$__rate_interval])) > 0",
            "{{code}}",
        ),
        named=CODES,
        stacked=True,
    ),
    lines(
        Frame(
            "Latency",
            "Response time of the Image service: median, 90th and 99th percentile.",
            12,
            8,
            units.Seconds,
        ),
        over_time(_quantile(0.5), "median"),
        over_time(_quantile(0.9), "90 %"),
        over_time(_quantile(0.99), "99 %"),
        named={"median": ("median", BLUE), "90 %": ("90 %", ORANGE), "99 %": ("99 %", VERMILION)},
    ),
    lines(
        Frame(
            "Failed polls by reason",
            "Failed polls by reason. There should be none.",
            8,
            8,
        ),
        over_time(
            above_zero(_increase("exporter_poll_failures_total", "reason"), "reason"), "{{reason}}"
        ),
        named=REASONS,
        bars=True,
        up_to=1,
    ),
    lines(
        Frame(
            "Contradictions",
            "Responses that contradict others about the same image. If they go on, API servers "
            "behind the endpoint disagree.",
            8,
            8,
        ),
        over_time(_increase("exporter_contradictions_total"), "{{cloud}}"),
        bars=True,
        up_to=1,
    ),
    lines(
        Frame(
            "Polls",
            "Polls of images: one per image and cycle, without retries.",
            8,
            8,
            units.CountsPerSecond,
        ),
        over_time(
            f"sum by (cloud) (rate({cloud('exporter_polls_total')}[$__rate_interval]))",
            "{{cloud}}",
        ),
    ),
)

PACE = (
    dashed(
        lines(
            Frame(
                "Cycle against interval",
                "Duration of the last cycle, and its interval (dashed), after which a cycle ends "
                "even if images are left.",
                8,
                7,
                units.Seconds,
            ),
            over_time(LAST_CYCLE, "{{cloud}}"),
            over_time(INTERVAL, "{{cloud}} interval"),
        ),
        "/ interval$/",
    ),
    lines(
        Frame("Cycle lag", "How late the last cycle started.", 8, 7, units.Seconds),
        over_time(f"max by (cloud) ({cloud('exporter_cycle_lag_seconds')})", "{{cloud}}"),
        up_to=1,
    ),
    lines(
        Frame(
            "Cycles skipped",
            "Cycles that did not start on time, because the previous one was still running or the "
            "exporter was delayed.",
            8,
            7,
        ),
        over_time(_increase("exporter_cycles_skipped_total"), "{{cloud}}"),
        bars=True,
        up_to=1,
    ),
    lines(
        Frame(
            "Waiting for rate limits",
            "Share of time that requests waited for rate_limit or Retry-After; above 100 % if "
            "several waited at once.",
            8,
            7,
            units.PercentUnit,
        ),
        over_time(
            "sum by (cloud) (rate("
            f"{cloud('exporter_rate_limit_wait_seconds_total')}[$__rate_interval]))",
            "{{cloud}}",
        ),
        up_to=1,
    ),
    lines(
        Frame("Retries", "Requests retried within a cycle after a temporary failure.", 8, 7),
        over_time(_increase("exporter_retries_total"), "{{cloud}}"),
        bars=True,
        up_to=1,
    ),
    lines(
        Frame(
            "Concurrency needed",
            "Concurrent requests that the last cycle needed to poll every image in time. Above the "
            "setting concurrency, images are not polled.",
            8,
            7,
        ),
        over_time(f"max by (cloud) ({cloud('exporter_concurrency_needed')})", "{{cloud}}"),
    ),
)

SIGN_IN = (
    lines(
        Frame(
            "Token left over time",
            "Time until the token expires. It must rise again before it reaches 0.",
            8,
            7,
            units.Seconds,
            FIXED_ENDPOINT,
        ),
        over_time(TOKEN_LEFT, "{{cloud}}"),
    ),
    lines(
        Frame(
            "Sign-ins",
            "Token requests to Keystone, and failed ones. None without Keystone.",
            8,
            7,
        ),
        over_time(_increase("exporter_authentications_total"), "{{cloud}}"),
        over_time(_increase("exporter_authentication_failures_total"), "{{cloud}} failed"),
        bars=True,
        up_to=1,
    ),
    lines(
        Frame(
            "Clock skew",
            "How far the Image service's clock is ahead of the exporter's, in whole seconds.",
            8,
            7,
            units.Seconds,
        ),
        over_time(f"max by (cloud) ({cloud('exporter_clock_skew_seconds')})", "{{cloud}}"),
        from_zero=False,
        up_to=1,
    ),
)

PROCESS = (
    lines(
        Frame("CPU", "CPU cores used by the exporter.", 6, 7),
        over_time(
            of_exporters(f"rate({process('process_cpu_seconds_total')}[$__rate_interval])"),
            "{{instance}}",
        ),
    ),
    lines(
        Frame("Memory", "Resident memory.", 6, 7, units.BytesIEC),
        over_time(of_exporters(process("process_resident_memory_bytes")), "{{instance}}"),
    ),
    lines(
        Frame("Open files", "Open files and sockets.", 6, 7),
        over_time(of_exporters(process("process_open_fds")), "{{instance}}"),
    ),
    number(
        Frame("Version", "Running versions; several during an update.", 6, 7),
        f"count by (version) ({process('openstack_image_exporter_build_info')})",
        legend="{{version}}",
    ),
    lines(
        Frame("Scrape", "Scrape duration, as measured by Prometheus.", 6, 7, units.Seconds),
        over_time(of_exporters(process("scrape_duration_seconds")), "{{instance}}"),
    ),
    lines(
        Frame("Series", "Samples per scrape.", 6, 7),
        over_time(of_exporters(process("scrape_samples_scraped")), "{{instance}}"),
    ),
    lines(
        Frame(
            "Size",
            "Size of a scrape: plain (identity), which body_size_limit is about, and sent (gzip).",
            6,
            7,
            units.BytesIEC,
        ),
        over_time(
            process("openstack_image_exporter_scrape_body_bytes"), "{{instance}} {{encoding}}"
        ),
    ),
    lines(
        Frame("Uptime", "Time since the exporter started.", 6, 7, units.Seconds),
        over_time(
            of_exporters(f"time() - {process('process_start_time_seconds')}"), "{{instance}}"
        ),
    ),
)


def board() -> models.Dashboard:
    """Return the dashboard of the exporter itself."""
    return assembled(
        UID,
        "OpenStack images / Exporter",
        "The exporter itself: requests, responses and the pace of polling.",
        [
            ("", SUMMARY),
            ("Image service", SERVICE),
            ("Pace", PACE),
            ("Sign-in", SIGN_IN),
            ("Process", PROCESS),
        ],
    )
