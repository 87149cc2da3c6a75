"""The metrics that the alert rules need, for the exporter, whose package has no rules."""

import json
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

import promql_parser as promql
import yaml

from exporter.metrics.selection.families import family_names

Needs = frozenset[frozenset[str]]
"""Alternatives: sets of families, one of which is enough for an expression to have a result."""

NEVER: Needs = frozenset()
"""Has no result, whatever is served."""

ANYWAY: Needs = frozenset({frozenset()})
"""May have a result without any family of the exporter, as ``up`` has."""

WITHOUT_INPUT = frozenset({"absent", "absent_over_time", "time", "vector"})
"""Functions that have a result even if their argument has none."""

Results = Mapping[str, Needs]
"""The needs of each rule by the name of the series that it creates."""


def text(rules: str) -> str:
    """Return the file for the package: the needs of each alert of a rule file."""
    expressions = _expressions(rules)
    needs: dict[str, Needs] = dict.fromkeys(expressions, NEVER)
    # Rules use the results of others, and earlier results of their own.
    while needs != (new := {name: _needs(expr, needs) for name, expr in expressions.items()}):
        needs = new
    document = {
        rule["alert"]: {
            "uses": sorted(_families_used(_series(rule), expressions)),
            "fires_with": sorted(map(sorted, needs[_series(rule)])),
        }
        for rule in _rules(rules)
        if "alert" in rule
    }
    return f"{json.dumps(document, indent=1)}\n"


def _rules(rules: str) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(rules)["groups"]:
        yield from group["rules"]


def _series(rule: Mapping[str, Any]) -> str:
    """Return the name of the series that a rule creates; for an alert, the one of its own."""
    return str(rule["record"]) if "record" in rule else f"ALERTS {rule['alert']}"


def _expressions(rules: str) -> dict[str, Any]:
    return {_series(rule): promql.parse(rule["expr"]) for rule in _rules(rules)}


def _name(selector: Any) -> str:
    """Return the name of the series, or of the alert, that a selector selects."""
    if selector.name != "ALERTS":
        return str(selector.name)
    matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
    return f"ALERTS {matchers['alertname']}"


def _needs(expr: Any, results: Results) -> Needs:
    """Return what an expression needs, if the rules need ``results``."""
    match expr:
        case promql.VectorSelector():
            name = _name(expr)
            own = frozenset({frozenset({name})}) if name in family_names() else ANYWAY
            return results.get(name, own)
        case promql.BinaryExpr():
            left, right = _needs(expr.lhs, results), _needs(expr.rhs, results)
            match str(expr.op):
                case "or":
                    return _minimal(left | right)
                case "unless":
                    return left
            return _both(left, right)
        case promql.Call() if expr.func.name in WITHOUT_INPUT:
            return ANYWAY
    return reduce(_both, (_needs(part, results) for part in _parts(expr)), ANYWAY)


def _both(left: Needs, right: Needs) -> Needs:
    return _minimal(frozenset(one | other for one in left for other in right))


def _minimal(needs: Needs) -> Needs:
    """Leave out the sets that contain another one."""
    return frozenset(some for some in needs if not any(other < some for other in needs))


def _parts(expr: Any) -> list[Any]:
    """Return the expressions that an expression is made of."""
    match expr:
        case promql.BinaryExpr():
            return [expr.lhs, expr.rhs]
        case promql.Call():
            return list(expr.args)
        case promql.MatrixSelector():
            return [expr.vector_selector]
        case (
            promql.AggregateExpr() | promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr()
        ):
            return [expr.expr]
    return []


def _families_used(series: str, expressions: Mapping[str, Any]) -> set[str]:
    """Return the families in the expression of a rule, and in those that it uses."""
    names, new = set[str](), {series}
    while new:
        names |= new
        found = {name for used in new & expressions.keys() for name in _names(expressions[used])}
        new = found - names
    return names & set(family_names())


def _names(expr: Any) -> Iterator[str]:
    if isinstance(expr, promql.VectorSelector):
        yield _name(expr)
    for part in _parts(expr):
        yield from _names(part)
