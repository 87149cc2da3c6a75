"""Grafana dashboards, alerting rules and runbooks."""
