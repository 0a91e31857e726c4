"""The admission policies of k8s/, evaluated as the API server does: match conditions, variables, validations."""

from __future__ import annotations

from functools import cache
from typing import Any

import celpy

from orchestrator.jobs.kubernetes import NAMESPACE
from tests.k8s.manifests import Manifest, build


@cache
def program(expression: str) -> Any:
    """A compiled CEL expression."""
    environment = celpy.Environment()
    return environment.program(environment.compile(expression))


@cache
def policies() -> dict[str, Manifest]:
    """The policies by name."""
    found = [manifest for manifest in build("base") if manifest["kind"] == "ValidatingAdmissionPolicy"]
    return {manifest["metadata"]["name"]: manifest for manifest in found}


def denials(
    policy: str, new: Manifest, old: Manifest | None = None, *, user: str = "ann", groups: tuple[str, ...] = ()
) -> list[str]:
    """Messages of the validations that refuse an object; what cannot be evaluated is refused (failurePolicy Fail)."""
    spec = policies()[policy]["spec"]
    assert spec["failurePolicy"] == "Fail"
    request = {
        "operation": "CREATE" if old is None else "UPDATE",
        "namespace": NAMESPACE,
        "userInfo": {"username": user, "groups": list(groups)},
    }
    known = {
        name: celpy.json_to_cel(value) for name, value in (("object", new), ("oldObject", old), ("request", request))
    }
    try:
        if not all(program(rule["expression"]).evaluate(known) for rule in spec.get("matchConditions", [])):
            return []
        variables = celpy.celtypes.MapType()
        for variable in spec.get("variables", []):
            value = program(variable["expression"]).evaluate({**known, "variables": variables})
            variables[celpy.celtypes.StringType(variable["name"])] = value
    except celpy.CELEvalError as error:
        return [f"cannot be evaluated: {error}"]
    found = []
    for rule in spec["validations"]:
        try:
            holds = bool(program(rule["expression"]).evaluate({**known, "variables": variables}))
        except celpy.CELEvalError:
            holds = False
        if not holds:
            found.append(rule["message"])
    return found
