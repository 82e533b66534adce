"""deploy/k8s: what Kubernetes is told of each service."""

import re
import shutil
import subprocess

import pytest
import yaml

from lib.servers import ROOT

K8S = ROOT / "deploy/k8s"
SERVICES = sorted(
    line.split()[0] for line in (ROOT / "deploy/fleet.list").read_text().splitlines() if line and not line.startswith("#")
)


def documents(folder):
    """Every object of a folder's own files: {(kind, name): object}"""
    found = {}
    for file in sorted((K8S / folder).glob("*.yaml")):
        for it in yaml.safe_load_all(file.read_text()):
            if it["kind"] not in ("Kustomization", "Component"):
                found[it["kind"], it["metadata"]["name"]] = it
    return found


BASE, KEDA = documents("base"), documents("keda")


@pytest.mark.parametrize("service", SERVICES)
def test_a_deployment_is_confined_and_probed(service):
    it = BASE["Deployment", f"garrison-{service}"]["spec"]
    pod = it["template"]["spec"]
    (container,) = pod["containers"]
    assert it["selector"]["matchLabels"].items() <= it["template"]["metadata"]["labels"].items()
    assert pod["terminationGracePeriodSeconds"] > 25  # SHUTDOWN_GRACE
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["admin"] == 9100
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "admin"}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    for variable in container["env"]:
        assert variable["name"].endswith("_FILE") and variable["value"].startswith("/run/garrison/")


@pytest.mark.parametrize("service", SERVICES)
def test_each_has_its_budget_its_network_and_its_scaler(service):
    labels = BASE["Deployment", f"garrison-{service}"]["spec"]["template"]["metadata"]["labels"]
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        selector = BASE[kind, f"garrison-{service}"]["spec"][key]["matchLabels"]
        assert selector and selector.items() <= labels.items()
    policy = BASE["NetworkPolicy", f"garrison-{service}"]["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert all(rule.get("to") for rule in policy["egress"]), "out to named places only"
    assert not any(not rule.get("from") and service != "gateway" for rule in policy["ingress"])
    scaler = KEDA["ScaledObject", f"garrison-{service}"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == f"garrison-{service}"
    if service == "gateway":
        return
    queues = {trigger["metadata"]["queueName"] for trigger in scaler["triggers"]}
    assert queues == {f"game.{service}", f"game.{service}.rpc"}
    for trigger in scaler["triggers"]:
        # By HTTP: ready and unacknowledged. By AMQP it would be what is ready alone.
        assert (trigger["metadata"]["protocol"], trigger["metadata"]["excludeUnacknowledged"]) == ("http", "false")
        assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in KEDA


def test_migrations_come_before_the_topology():
    pod = BASE["Job", "garrison-prepare"]["spec"]["template"]["spec"]
    assert [c["args"] for c in pod["initContainers"] + pod["containers"]] == [["migrate"], ["topology", "apply"]]


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_kustomize_builds_the_overlay(overlay):
    if not shutil.which("kubectl"):
        pytest.skip("there is no kubectl (Debian's kubernetes-client has none with kustomize)")
    done = subprocess.run(["kubectl", "kustomize", K8S / "overlays" / overlay], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    assert all(it["metadata"].get("namespace", "garrison") == "garrison" for it in objects)
    deployed = {it["metadata"]["name"]: it["spec"] for it in objects if it["kind"] == "Deployment"}
    assert set(deployed) == {f"garrison-{service}" for service in SERVICES}
    made = {(it["kind"], it["metadata"]["name"]) for it in objects}
    for name, spec in deployed.items():
        (container,) = spec["template"]["spec"]["containers"]
        assert ("ConfigMap", container["envFrom"][0]["configMapRef"]["name"]) in made
        (volume,) = spec["template"]["spec"]["volumes"]
        if overlay == "local":
            assert ("Secret", volume["secret"]["secretName"]) in made
            secret = next(it for it in objects if it["kind"] == "Secret" and it["metadata"]["name"] == name)
            wanted = {variable["value"].rpartition("/")[2] for variable in container["env"]}
            assert wanted <= set(secret["data"]), name
            assert spec["replicas"] == 1
        else:
            assert "replicas" not in spec, "KEDA sets it"
            assert re.fullmatch(r"registry\.example\.com/garrison/[a-z-]+:\w+", container["image"])
