"""KubeRay's resource definitions as JSON schemas that refuse what an API server would silently drop."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml

from tests.k8s.manifests import ROOT

CRDS = ROOT.parent / "shared" / "crds"


@cache
def validator(kind: str) -> jsonschema.Draft7Validator:
    """Of a kind of ray.io/v1; skips where the definitions are not at hand."""
    path = CRDS / f"ray.io_{kind.lower()}s.yaml"
    if not path.exists():
        pytest.skip("the resource definitions of KubeRay are not in ../shared/crds")
    documents = yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)
    definition = next(document for document in documents if document)
    version = next(version for version in definition["spec"]["versions"] if version["name"] == "v1")
    return jsonschema.Draft7Validator(_strict(version["schema"]["openAPIV3Schema"]))


def schema_errors(manifest: dict[str, Any]) -> list[str]:
    """What the schema of a ray.io kind refuses, and fields that it does not know."""
    errors = validator(manifest["kind"]).iter_errors(manifest)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors]


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: value if key in ("enum", "default", "required") else _strict(value) for key, value in schema.items()}
    properties = schema.get("properties")
    if isinstance(properties, dict) and "type" in schema and not isinstance(schema["type"], dict):
        strict["properties"] = {name: _strict(part) for name, part in properties.items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
    return strict
