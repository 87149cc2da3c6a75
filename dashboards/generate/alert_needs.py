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
"""The needs of each rule by its name."""


def text(rules: str) -> str:
    """Return the file for the package: the needs of each alert of a rule file."""
    expressions = _expressions(rules)
    needs: dict[str, Needs] = dict.fromkeys(expressions, NEVER)
    # Rules use the results of others, and earlier results of their own.
    while needs != (new := {name: _needs(expr, needs) for name, expr in expressions.items()}):
        needs = new
    document = {
        rule["alert"]: {
            "uses": sorted(_families_used(_name(rule), expressions)),
            "fires_with": sorted(map(sorted, needs[_name(rule)])),
        }
        for rule in _rules(rules)
        if "alert" in rule
    }
    return f"{json.dumps(document, indent=1)}\n"


def _rules(rules: str) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(rules)["groups"]:
        yield from group["rules"]


def _name(rule: Mapping[str, Any]) -> str:
    """Return the name of a record, which is that of its series, or of an alert."""
    return str(rule.get("record") or rule["alert"])


def _expressions(rules: str) -> dict[str, Any]:
    return {_name(rule): promql.parse(rule["expr"]) for rule in _rules(rules)}


def _needs(expr: Any, results: Results) -> Needs:
    """Return what an expression needs, if the rules need ``results``."""
    match expr:
        case promql.VectorSelector():
            name = str(expr.name)
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


def _families_used(rule: str, expressions: Mapping[str, Any]) -> set[str]:
    """Return the families in the expression of a rule, and in those that it uses."""
    names, new = set[str](), {rule}
    while new:
        names |= new
        found = {name for used in new & expressions.keys() for name in _names(expressions[used])}
        new = found - names
    return names & set(family_names())


def _names(expr: Any) -> Iterator[str]:
    if isinstance(expr, promql.VectorSelector):
        yield str(expr.name)
    for part in _parts(expr):
        yield from _names(part)
