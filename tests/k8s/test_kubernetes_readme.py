"""The commands and the image that k8s/README.md speaks of."""

from __future__ import annotations

import re

from orchestrator.jobs.kubernetes import IMAGE, NAMESPACE, render_job
from tests.k8s.manifests import K8S, ROOT

README = (K8S / "README.md").read_text()
DOCKERFILE = (K8S / "Dockerfile").read_text()
COMMANDS = re.findall(r"^    (\d+) +(.+)$", README, re.MULTILINE)


def test_the_commands_are_numbered() -> None:
    assert [int(number) for number, _ in COMMANDS] == list(range(1, 13))


def test_they_name_what_is_there() -> None:
    for folder in re.findall(r"-k (k8s/\S+)", README):
        assert (ROOT / folder.rstrip("`") / "kustomization.yaml").exists(), folder
    for _, command in COMMANDS:
        if " -n " in command:
            assert f"-n {NAMESPACE} " in command
    assert COMMANDS[0][1] == f"docker build -f k8s/Dockerfile -t {IMAGE} ."
    job, *_ = render_job((ROOT / "pipelines" / "examples" / "split-digits.yaml").read_text(), "run")
    assert COMMANDS[-1][1].endswith(f"rayjob/{job['metadata']['name']}")


def test_every_folder_is_explained() -> None:
    kinds = ("overlays", "jobs", "components")
    for folder in (path for kind in kinds for path in (K8S / kind).iterdir()):
        assert f"`{folder.relative_to(K8S)}`" in README, folder


def test_the_image_is_pinned_and_without_root() -> None:
    bases = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 1 and re.search(r":\d+\.\d+\.\d+-", bases[0])
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE}", "${BASE}"]
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user == [("1000", "1000")]
    assert "--constraint requirements.lock" in DOCKERFILE


def test_the_image_copies_only_what_is_there() -> None:
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line
        ignore = (K8S / "Dockerfile.dockerignore").read_text().splitlines()
        assert all(f"!{source}" in ignore for source in sources), line
