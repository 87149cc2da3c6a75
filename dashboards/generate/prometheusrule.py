"""The rules as a PrometheusRule for the Prometheus Operator: the same text, and a namespace."""

import re
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "dashboards/alerts/rules.yml"
FILE = ROOT / "k8s/components/prometheus-operator/prometheusrule.yaml"

HEAD = """\
# Generated from dashboards/alerts/rules.yml by `make dashboards`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: openstack-image-exporter
  labels:
    app.kubernetes.io/name: openstack-image-exporter
spec:
"""


NAMESPACE = "openstack-image-exporter"
"""Namespace of the overlays. namespace.yaml beside the manifest has kustomize replace it."""

OWN_NAMESPACE = "by (job, namespace)"
"""Part of the expressions whose results have the namespace of the target."""

SPLIT = re.compile(r"(?P<first> expr: \|-\n(?:.*\n)+?) +or\n +(?P<absent>absent\(up.*\n)")
"""An expression whose last part, for a missing target, has no namespace."""


def text(rules: str) -> str:
    """Return the manifest with the groups of the rule file, including their comments.

    Every alert has the label ``namespace``, which an AlertmanagerConfig matches. A label of the
    rule would replace the namespace of a result, and make two alerts equal, so such an alert keeps
    its own.
    """
    _, _, groups = rules.partition("\ngroups:\n")
    records, *alerts = re.split(r"(?m)^(?= +- alert:)", groups)
    return HEAD + indent(f"groups:\n{records}{''.join(map(_with_namespace, alerts))}", "  ")


def _with_namespace(alert: str) -> str:
    """Return the text from one alert to the next, with the namespace as a label."""
    if OWN_NAMESPACE not in alert:
        return re.sub(r"( +)severity: .*\n", rf"\g<0>\g<1>namespace: {NAMESPACE}\n", alert, count=1)
    rule, blank, others = alert.partition("\n\n")
    if not SPLIT.search(rule):
        return alert
    missing = _with_namespace(SPLIT.sub(r" expr: \g<absent>", rule))
    first = SPLIT.sub(r"\g<first>", rule)
    return f"{first}\n\n{missing}{blank}{others}"
