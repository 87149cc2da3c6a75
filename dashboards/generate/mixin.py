"""The rules and dashboards as a mixin: a Jsonnet library with parameters.

The rules are those of the rule file, with a placeholder wherever a parameter has an effect.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parent.parent / "mixin.libsonnet"

JOB = "openstack-images"
RUNBOOK_URL = "https://example.com/openstack-image-exporter/dashboards/runbooks/"

THRESHOLDS = {
    "OpenStackImagePollFailures": "> {0.5}",
    "OpenStackImageApiServersDisagree": "> {10}",
    "OpenStackImageCyclesLate": "cycle_interval_seconds) > {0.5}",
    "OpenStackImagePollingStopped": "> {3} *",
    "OpenStackImageTokenNotRenewed": "< {60}",
    "OpenStackImageClocksOff": "> {30}",
}
"""The place of the threshold in the expression of an alert, in braces."""

METRIC = re.compile(r"(?<![\w:])(openstack_image_\w+|up|scrape_samples_scraped)(?![\w:(])(\{?)")
"""A metric of the exporter or its scrapes, and the start of its matchers; no recorded series."""

LIBRARY = """\
// Generated from alerts/rules.yml and the dashboards by `make dashboards`.
//
// A mixin: alerts, recording rules and dashboards with parameters. README.md says how to use it.
{
  _config+:: {
    // Matchers that are added to every selector of a metric, such as 'cluster="a"'.
    selector: '',
    // The job of the exporter's scrape configuration.
    job: '%(job)s',
    // The folder with the runbooks. It ends with a slash.
    runbookURL: '%(runbook_url)s',
    // How urgent each alert is.
    severities: %(severities)s,
    // What a value is compared with; the unit is in the alert's expression.
    thresholds: %(thresholds)s,
    // How long a condition lasts before its alert fires. An alert without an entry fires at once.
    'for': %(for)s,
  },

  local config = $._config,
  local parameters = {
    job: config.job,
    only: if config.selector == '' then '' else '{' + config.selector + '}',
    also: if config.selector == '' then '' else config.selector + ', ',
  },

  local record(rule) = rule { expr: super.expr %% parameters },

  local alert(rule) = rule {
    expr: super.expr %% (parameters { threshold: std.get(config.thresholds, rule.alert) }),
    [if std.objectHas(config['for'], rule.alert) then 'for']: config['for'][rule.alert],
    labels+: { severity: config.severities[rule.alert] },
    annotations+: { runbook_url: config.runbookURL + rule.alert + '.md' },
  },

  local groups(rules, convert) = {
    groups: [group { rules: std.map(convert, super.rules) } for group in rules],
  },

  prometheusRules+:: groups(%(records)s, record),

  prometheusAlerts+:: groups(%(alerts)s, alert),

  local dashboard(text) = std.parseJson(
    if config.selector == '' then text
    else
      // As within a string of JSON.
      local quoted = std.escapeStringJson(config.selector);
      local selector = std.substr(quoted, 1, std.length(quoted) - 2);
      local job = 'job=~\\\\"$job\\\\"';
      std.strReplace(
        std.strReplace(text, job, job + ', ' + selector),
        'build_info, job)',
        'build_info{' + selector + '}, job)'
      )
  ),

  grafanaDashboards+:: {
%(dashboards)s
  },
}
"""


def text(rules: str, dashboards: list[str]) -> str:
    """Return the mixin for the text of the rule file and the files of the dashboards."""
    groups = yaml.safe_load(rules)["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    parts = {
        "severities": {rule["alert"]: rule["labels"]["severity"] for rule in alerts},
        "thresholds": {
            rule["alert"]: _threshold(rule) for rule in alerts if rule["alert"] in THRESHOLDS
        },
        "for": {rule["alert"]: rule["for"] for rule in alerts if "for" in rule},
        "records": [_with_placeholders(group) for group in groups if "record" in group["rules"][0]],
        "alerts": [_with_placeholders(group) for group in groups if "alert" in group["rules"][0]],
    }
    return LIBRARY % {
        "job": JOB,
        "runbook_url": RUNBOOK_URL,
        "dashboards": "\n".join(
            f"    '{name}': dashboard(importstr '{name}')," for name in dashboards
        ),
        **{name: _literal(value) for name, value in parts.items()},
    }


def _with_placeholders(group: dict[str, Any]) -> dict[str, Any]:
    return {**group, "rules": [_template(rule) for rule in group["rules"]]}


def _template(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule without what the parameters say, and with placeholders in its expression."""
    expression, name = rule["expr"].replace("%", "%%"), rule.get("alert", "")
    if name in THRESHOLDS:
        before, value, after = re.split("[{}]", THRESHOLDS[name])
        parts = expression.split(f"{before}{value}{after}")
        expression = f"{before}%(threshold)s{after}".join(parts)
    expression = METRIC.sub(_with_selector, expression).replace(f'job="{JOB}"', 'job="%(job)s"')
    template = {key: value for key, value in rule.items() if key != "for"}
    for part, parameter in (("labels", "severity"), ("annotations", "runbook_url")):
        if part in rule:
            template[part] = {key: text for key, text in rule[part].items() if key != parameter}
    return {**template, "expr": expression}


def _with_selector(selector: re.Match[str]) -> str:
    return f"{selector[1]}{{%(also)s" if selector[2] else f"{selector[1]}%(only)s"


def _threshold(rule: dict[str, Any]) -> float:
    before, value, after = re.split("[{}]", THRESHOLDS[rule["alert"]])
    if rule["expr"].count(f"{before}{value}{after}") != 1:
        message = f"{rule['alert']}: the expression must contain its threshold once"
        raise ValueError(message)
    return float(value) if "." in value else int(value)


def _literal(value: object) -> str:
    """Return a value as Jsonnet, which includes JSON, at its depth in the library."""
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n    ")
