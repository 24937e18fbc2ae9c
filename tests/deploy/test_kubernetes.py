"""Rendered manifests by Kubernetes' own schemas, checkov and kustomize."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

VERSIONS = ["1.34.0", "1.35.0", "1.36.0", "1.37.0"]
# checkov's checks that do not hold, each with its reason.
WAIVED = {}


def objects(folder):
    return [path for path in sorted(folder.glob("*.yaml")) if path.name != "kustomization.yaml"]


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_strictly_valid(manifests, version):
    tool = pathlib.Path(sys.executable).with_name("kubernetes-validate")
    done = subprocess.run(
        [tool, "--strict", "-k", version, *objects(manifests)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("passed") >= len(objects(manifests)), done.stdout


def test_checkov_finds_nothing_that_is_not_waived(manifests):
    tool = pathlib.Path(sys.executable).with_name("checkov")
    done = subprocess.run(
        [sys.executable, tool, "-d", manifests, "--framework", "kubernetes", "-o", "json",
         "--quiet", "--compact", "--skip-download"],
        capture_output=True, text=True,
    )
    report = json.loads(done.stdout)
    failed = {
        (check["check_id"], check["check_name"], check["resource"])
        for check in report["results"]["failed_checks"]
        if check["check_id"] not in WAIVED
    }
    assert failed == set()
    assert report["summary"]["passed"] > 50, report["summary"]


def test_kustomize_builds_every_object(manifests):
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not installed")
    version = subprocess.run([kubectl, "version", "--client", "-o", "json"],
                             capture_output=True, text=True)
    found = re.search(r'"minor":\s*"(\d+)', version.stdout)
    if not found or int(found.group(1)) < 32:
        pytest.skip(f"kubectl is older than 1.32: {version.stdout[:80]!r}")
    done = subprocess.run([kubectl, "kustomize", manifests], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert len(built) == len(objects(manifests))


def test_kustomization_lists_exactly_the_objects(manifests):
    listed = yaml.safe_load((manifests / "kustomization.yaml").read_text())["resources"]
    assert listed == [path.name for path in objects(manifests)]


def test_a_pod_is_locked_down(manifests):
    """What Pod Security restricted asks for, and more, read by a parser that is not ours."""
    stateful = yaml.safe_load((manifests / "stateful-set.yaml").read_text())["spec"]
    pod = stateful["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"] + pod["initContainers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])
    service = yaml.safe_load((manifests / "service.yaml").read_text())
    annotations = service["metadata"]["annotations"]
    assert annotations["service.beta.kubernetes.io/azure-load-balancer-internal"] == "true"


def test_the_validators_catch_what_they_should(manifests, tmp_path):
    """A misspelt field and a value of another kind fail, a privileged pod is found."""
    tool = pathlib.Path(sys.executable).with_name("kubernetes-validate")
    service = yaml.safe_load((manifests / "service.yaml").read_text())
    service["spec"]["ports"][0]["targetPrt"] = 8443
    (tmp_path / "service.yaml").write_text(yaml.safe_dump(service))
    done = subprocess.run([tool, "--strict", tmp_path / "service.yaml"], capture_output=True)
    assert done.returncode != 0
    stateful = yaml.safe_load((manifests / "stateful-set.yaml").read_text())
    container = stateful["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"]["privileged"] = True
    (tmp_path / "set.yaml").write_text(yaml.safe_dump(stateful))
    checkov = pathlib.Path(sys.executable).with_name("checkov")
    done = subprocess.run(
        [sys.executable, checkov, "-f", tmp_path / "set.yaml", "--framework", "kubernetes",
         "-o", "json", "--quiet", "--compact", "--skip-download"],
        capture_output=True, text=True,
    )
    failed = {check["check_id"] for check in json.loads(done.stdout)["results"]["failed_checks"]}
    assert "CKV_K8S_16" in failed, failed
