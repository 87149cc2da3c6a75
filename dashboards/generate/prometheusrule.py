"""The rules as the Prometheus Operator takes them: the same text, in a PrometheusRule."""

from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "dashboards/alerts/rules.yml"
FILE = ROOT / "k8s/components/prometheus-operator/prometheusrule.yaml"

HEAD = """\
# Made from dashboards/alerts/rules.yml by `make dashboards`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: openstack-image-exporter
  labels:
    app.kubernetes.io/name: openstack-image-exporter
spec:
"""


def text(rules: str) -> str:
    """The manifest with the groups of this rule file, and the comments between them."""
    _, groups, rest = rules.partition("\ngroups:\n")
    return HEAD + indent(f"{groups.lstrip()}{rest}", "  ")
