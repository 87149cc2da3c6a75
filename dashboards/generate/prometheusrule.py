"""The rules as a PrometheusRule for the Prometheus Operator, with the same text."""

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


def text(rules: str) -> str:
    """Return the manifest with the groups of the rule file, including their comments."""
    _, groups, rest = rules.partition("\ngroups:\n")
    return HEAD + indent(f"{groups.lstrip()}{rest}", "  ")
