"""What is said in one field holds everywhere: images by digest, the namespace, the group of people."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from tests.k8s.manifests import BUILDS, K8S, Manifest, build, pods

IMAGES = "components/images/kustomization.yaml"
GROUP = "everlearn-users"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The manifests, to change them."""
    folder = tmp_path / "k8s"
    shutil.copytree(K8S, folder)
    return folder


def built(copied: Path, folder: str) -> tuple[Manifest, ...]:
    return build(str(copied / folder))


def test_one_field_pins_each_image_by_digest(copied: Path) -> None:
    fields = yaml.safe_load((copied / IMAGES).read_text())
    digest = {entry["name"]: f"sha256:{number:064x}" for number, entry in enumerate(fields["images"], start=1)}
    fields["images"] = [{"name": name, "digest": value} for name, value in digest.items()]
    (copied / IMAGES).write_text(yaml.safe_dump(fields))
    used = set()
    for folder in BUILDS:
        for pod in pods(built(copied, folder)):
            for container in pod.containers:
                name, _, value = container["image"].partition("@")
                name = "everlearn" if name.endswith(".amazonaws.com/everlearn") else name
                assert value == digest[name], f"{folder}: {pod.where}: {container['image']}"
                used.add(name)
    assert used == set(digest)


@pytest.mark.parametrize("folder", ["overlays/local", "overlays/aws", "overlays/kueue"])
def test_one_field_names_the_namespace(copied: Path, folder: str) -> None:
    own = copied / "overlays" / "own"
    own.mkdir()
    made = {"namespace": "team-a", "resources": [os.path.relpath(copied / folder, own)]}
    (own / "kustomization.yaml").write_text(yaml.safe_dump(made))
    manifests = built(copied, "overlays/own")
    text = yaml.safe_dump_all(manifests)
    assert "namespace: everlearn\n" not in text and "metadata.name: everlearn\n" not in text
    assert "serviceaccount:everlearn" not in text and ".everlearn.svc" not in text and "mlflow.everlearn" not in text
    for manifest in manifests:
        assert manifest["metadata"].get("namespace", "team-a") == "team-a"
        if manifest["kind"] == "Namespace":
            assert manifest["metadata"]["name"] == "team-a"


def test_one_field_names_the_group(copied: Path) -> None:
    roles = copied / "base" / "roles.yaml"
    before, mark, after = roles.read_text().partition(f"name: {GROUP}")
    roles.write_text(f"{before}name: data-science{after}")
    assert mark
    text = yaml.safe_dump_all(built(copied, "base"))
    assert GROUP not in text
    assert text.count("data-science") == 4
