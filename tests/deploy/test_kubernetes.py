from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from broadcaster.protocol.limits import Limits

from .files import DEPLOY, dockerfile, manifests

FOLDER = DEPLOY / "kubernetes"
SECONDS = 60


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [manifest for _, manifest in manifests() if manifest["kind"] == kind]
    return found


def resources() -> list[tuple[Path, dict[str, Any]]]:
    return [(path, manifest) for path, manifest in manifests() if path.name != "kustomization.yaml"]


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = of_kind("Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("path", [path for path, _ in resources()], ids=lambda path: path.name)
def test_a_manifest_fits_the_schema_of_its_kind(path: Path) -> None:
    for found, manifest in resources():
        if found == path:
            kubernetes_validate.validate(manifest, "1.32", strict=True)


def test_a_field_that_is_misspelled_would_be_found() -> None:
    manifest = of_kind("Deployment")
    manifest["spec"]["template"]["spec"]["terminationGracePeriod"] = 45

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.32", strict=True)


def test_the_kustomization_takes_every_manifest_but_the_one_that_is_a_choice() -> None:
    taken = set(of_kind("Kustomization")["resources"])

    assert taken == {path.name for path, _ in resources()} - {"hpa.yaml"}


def test_what_the_kustomization_changes_is_there_to_be_changed() -> None:
    kustomization, [container] = of_kind("Kustomization"), pod()["containers"]
    [secret], [image] = kustomization["secretGenerator"], kustomization["images"]

    # It puts the names in; a name that nobody has would change nothing, silently.
    assert container["image"].partition(":")[0] == image["name"]
    assert container["envFrom"] == [{"secretRef": {"name": secret["name"]}}]
    assert all((FOLDER / f"{name}.example").exists() for name in secret["envs"])
    assert {manifest["metadata"].get("namespace", "broadcaster") for _, manifest in resources()} == {
        kustomization["namespace"]
    }


def test_everything_finds_the_pods() -> None:
    deployment = of_kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("Service")["spec"]["selector"] == labels
    assert of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert [spread["labelSelector"]["matchLabels"] for spread in pod()["topologySpreadConstraints"]] == [
        labels,
        labels,
    ]
    target = of_kind("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])


def test_every_way_in_ends_at_the_port_of_the_server() -> None:
    (container,) = pod()["containers"]
    (port,) = container["ports"]
    service = of_kind("Service")
    (rule,) = of_kind("Ingress")["spec"]["rules"]
    ways = [path["backend"]["service"] for path in rule["http"]["paths"]]

    words = container["args"]
    assert port["containerPort"] == int(words[words.index("--port") + 1])
    assert port["containerPort"] == int(dockerfile()["server"].all("EXPOSE")[0])
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    for way in ways:
        assert way == {"name": service["metadata"]["name"], "port": {"name": port["name"]}}
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]


def test_a_pod_is_ready_while_it_hears_the_others_and_lives_while_it_answers() -> None:
    (container,) = pod()["containers"]

    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert pod()["terminationGracePeriodSeconds"] > 35
    assert "lifecycle" not in container


def test_the_pods_have_no_right_that_they_do_not_need() -> None:
    (container,) = pod()["containers"]
    user = dockerfile()["base"].all("USER")[0]

    assert pod()["securityContext"]["runAsNonRoot"]
    assert f"{pod()['securityContext']['runAsUser']}:{pod()['securityContext']['runAsGroup']}" == user
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False


def test_the_ingress_lets_a_silent_client_stay_and_the_http_api_inside() -> None:
    ingress, limits = of_kind("Ingress"), Limits()
    paths = {path["path"]: path["pathType"] for path in ingress["spec"]["rules"][0]["http"]["paths"]}

    for name in ("read", "send"):
        seconds = int(ingress["metadata"]["annotations"][f"nginx.ingress.kubernetes.io/proxy-{name}-timeout"])
        assert seconds > limits.activity_timeout + limits.pong_timeout
    assert paths == {"/app": "Prefix", "/client.js": "Exact"}


def test_what_is_said_of_a_client_is_believed_of_a_network_only() -> None:
    words = pod()["containers"][0]["args"]

    assert ip_network(words[words.index("--trusted-proxy") + 1]).is_private
