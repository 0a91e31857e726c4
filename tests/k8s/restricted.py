"""The `restricted` level of the pod security standards, as Kubernetes documents it."""

from __future__ import annotations

from typing import Any

_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_HOST = ("hostNetwork", "hostPID", "hostIPC")


def violations(spec: dict[str, Any]) -> list[str]:
    """Why a namespace of that level refuses a pod; none: it is taken."""
    found = [f"{key} is set" for key in _HOST if spec.get(key)]
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= _VOLUMES:
            found.append(f"volume {volume['name']} is a {', '.join(kinds - _VOLUMES)}")
    outer = spec.get("securityContext", {})
    found += [f"pod: {text}" for text in _common(outer, whole=False)]
    for container in [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]:
        inner = container.get("securityContext", {})
        problems = _common({**outer, **inner}, whole=True) + _container(container, inner)
        found += [f"{container['name']}: {text}" for text in problems]
    return found


def _common(context: dict[str, Any], *, whole: bool) -> list[str]:
    found = []
    if context.get("runAsUser") == 0:
        found.append("runs as root")
    profile = context.get("seccompProfile", {}).get("type")
    if whole and context.get("runAsNonRoot") is not True:
        found.append("runAsNonRoot is not true")
    if profile not in ("RuntimeDefault", "Localhost") and (whole or profile is not None):
        found.append(f"seccomp profile is {profile}")
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        found.append("AppArmor is off")
    if set(context.get("seLinuxOptions", {})) & {"user", "role"}:
        found.append("SELinux user or role is set")
    return found


def _container(container: dict[str, Any], context: dict[str, Any]) -> list[str]:
    found = []
    if context.get("privileged"):
        found.append("is privileged")
    if context.get("allowPrivilegeEscalation") is not False:
        found.append("allowPrivilegeEscalation is not false")
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        found.append("keeps capabilities")
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        found.append("adds capabilities")
    if context.get("procMount", "Default") != "Default":
        found.append("procMount is set")
    if any("hostPort" in port for port in container.get("ports", [])):
        found.append("has a host port")
    return found
