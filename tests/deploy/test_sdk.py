"""Rendered snippets run by the real SDKs, whose payloads are compared with the rendered template.
What would be sent to Azure is taken where it would leave."""

import json
import re
import runpy
import types

import pytest
from azure.ai.ml import MLClient
from azureml.core import Workspace
from azureml.core.compute import ComputeTarget
from azureml.exceptions import ComputeTargetException

from conftest import EXAMPLES, render, run

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
COMPUTES = "Microsoft.MachineLearningServices/workspaces/computes"


def compute_of(folder):
    """The compute of a rendered template, its ids in the long form that the SDKs send."""
    def ids(match):
        group, kind, *names = re.findall(r"'([^']*)'", match[0])
        provider, *kinds = kind.split("/")
        path = "".join(f"/{kind}/{name}" for kind, name in zip(kinds, names, strict=True))
        return (f'"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{provider}'
                f'{path}"')

    text = (folder / "arm/main.json").read_text()
    text = re.sub(r"\"\[resourceId\('rg-inference'[^\]]*\]\"", ids, text)
    found = [one for one in json.loads(text)["resources"] if one["type"] == COMPUTES]
    assert len(found) == 1
    return found[0]


def sent_by_v1(folder, monkeypatch):
    """What azureml-core would put to the service for a rendered v1 snippet."""
    sent = []

    def take(_workspace, name, payload, _class):
        sent.append((name, payload))
        return types.SimpleNamespace(wait_for_completion=lambda show_output: None)

    workspace = types.SimpleNamespace(
        location="westeurope", subscription_id=SUBSCRIPTION, _subscription_id=SUBSCRIPTION
    )
    monkeypatch.setattr(Workspace, "from_config", staticmethod(lambda: workspace))
    for leaves in ("_create_compute_target", "_attach"):
        monkeypatch.setattr(ComputeTarget, leaves, staticmethod(take))
    runpy.run_path(str(folder / "sdk/attach.py"))
    assert len(sent) == 1
    return sent[0]


def test_azureml_core_sends_what_the_v1_template_says(tmp_path_factory, monkeypatch):
    folder = render("v1", tmp_path_factory)
    name, payload = sent_by_v1(folder, monkeypatch)
    compute = compute_of(folder)
    assert compute["name"] == f"[concat('mlw-inference', '/', '{name}')]"
    expected = compute["properties"]
    # The purpose is the service's default, which the SDK leaves out.
    assert expected["properties"].pop("clusterPurpose") == "FastProd"
    assert payload["properties"] == expected
    network = payload["properties"]["properties"]["aksNetworkingConfiguration"]
    assert len(network) == 4 and all(network.values())


@pytest.mark.parametrize("field", [
    "vnet_name", "vnet_resourcegroup_name", "subnet_name", "service_cidr", "dns_service_ip",
    "docker_bridge_cidr",
])
def test_azureml_core_refuses_a_snippet_that_lacks_a_network_field(
    field, tmp_path, tmp_path_factory, monkeypatch
):
    """The judge does judge: five of the six fields are not enough for it."""
    text = (render("v1", tmp_path_factory) / "sdk/attach.py").read_text()
    less = re.sub(rf"\n    {field}=.*", "", text)
    assert less != text
    (tmp_path / "sdk").mkdir()
    (tmp_path / "sdk/attach.py").write_text(less)
    with pytest.raises(ComputeTargetException, match="not all virtual net information"):
        sent_by_v1(tmp_path, monkeypatch)


def test_a_v1_cluster_that_is_there_is_attached_with_the_internal_load_balancer(
    tmp_path, monkeypatch
):
    text = (EXAMPLES / "v1.toml").read_text()
    cluster = (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-inference/providers/"
               "Microsoft.ContainerService/managedClusters/aks-inference")
    plan = f'mode = "attach"\nclusterId = "{cluster}"\n{text}'
    (tmp_path / "plan.toml").write_text(plan)
    status, _, talk = run("render", tmp_path / "plan.toml", "--out", tmp_path / "out")
    assert status == 0, talk
    _, payload = sent_by_v1(tmp_path / "out", monkeypatch)
    expected = compute_of(tmp_path / "out")["properties"]
    # The SDK writes `resourcegroups`; ids of Azure are equal whatever their case.
    assert payload["properties"]["resourceId"].lower() == cluster.lower()
    assert expected["resourceId"] == cluster
    settings = payload["properties"]["properties"]
    assert settings["loadBalancerType"] == "InternalLoadBalancer"
    assert settings["loadBalancerSubnet"] == expected["properties"]["loadBalancerSubnet"]


@pytest.mark.parametrize("name", ["private", "public"])
def test_azure_ai_ml_sends_what_the_v2_template_says(name, tmp_path_factory, monkeypatch):
    folder = render(name, tmp_path_factory)
    sent = []

    class Operations:
        def begin_create_or_update(self, compute):
            sent.append(compute)
            return types.SimpleNamespace(result=lambda: compute)

    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    monkeypatch.setattr(MLClient, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(MLClient, "compute", property(lambda _: Operations()))
    runpy.run_path(str(folder / "sdk/attach.py"))
    assert len(sent) == 1
    said = sent[0]._to_rest_object().properties
    expected = compute_of(folder)["properties"]
    assert said.compute_type == expected["computeType"] == "Kubernetes"
    assert said.properties.namespace == expected["properties"]["namespace"]
    assert said.resource_id == expected["resourceId"]
