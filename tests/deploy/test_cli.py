"""The command line: exit codes, the shape of JSON and SARIF, repairs, refusals."""

import ast
import json
import os
import subprocess
import xml.etree.ElementTree

import jsonschema
import pytest

from conftest import EXAMPLES, RENDERED, ROOT, run


def check(plan, tmp_path, *args):
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    status, out, _ = run("check", file, "--format", "json", *args)
    return status, json.loads(out), file


def test_public_cases_by_the_command_line(cases, tmp_path):
    for case in cases:
        status, report, _ = check(case["plan"], tmp_path)
        rules = {finding["rule"] for finding in report["findings"]}
        assert rules == set(case["expect"]), case["name"]
        errors = any(finding["severity"] == "error" for finding in report["findings"])
        assert status == (1 if errors else 0), case["name"]
        assert all(advice["rule"].startswith("SEC-") for advice in report["advice"])
        for finding in report["findings"]:
            assert finding["line"] >= 1 and finding["column"] >= 1
            for key in ("why", "azureError", "source", "message"):
                assert finding[key], (case["name"], key)
            assert finding["fix"]["edits"], (case["name"], finding["rule"])


def test_fix_makes_every_public_case_clean(cases, tmp_path):
    for case in cases:
        status, report, file = check(case["plan"], tmp_path, "--fix")
        assert status == 0 and report["findings"] == [], case["name"]
        again, out, _ = run("check", file, "--format", "json")
        assert again == 0 and json.loads(out)["findings"] == [], case["name"]


def test_exit_codes():
    clean = EXAMPLES / "private.toml"
    assert run("check", clean)[0] == 0
    assert run("check", clean, "--strict")[0] == 1
    assert run("check", EXAMPLES / "v1.toml")[0] == 0
    assert run("check", EXAMPLES / "v1.toml", "--strict")[0] == 1
    assert run("check", EXAMPLES / "colliding.toml")[0] == 1
    assert run("check")[0] == 2
    assert run("check", "-", "--fix", stdin=clean.read_text())[0] == 2
    assert run("check", EXAMPLES / "absent.toml")[0] == 3
    assert run("check", "-", stdin="region = 3\n")[0] == 3
    assert run("check", "-", stdin="")[0] == 3
    assert run("render", EXAMPLES / "colliding.toml", "--out", os.devnull)[0] == 1


@pytest.mark.parametrize(
    "text, place, hint",
    [
        ('region = "a"\nserviceCIDR = "10.0.0.0/16"\n', ":2:1:", "serviceCidr"),
        ('region = "a"\noutboundType = "userDefinedRoute"\n', ":2:16:", "userDefinedRouting"),
        ("region: a\nlb:\n  type: intern\n", ":3:9:", "internal"),
        ('{"region": "a", "pools": [{"name": "x"}]}', ":1:27:", "missing"),
        ("region: &a [*a]\n", ":1:13:", "cycle"),
        ('{"cluster": {"arn": "arn:aws:eks:x"}}', ":1:1:", "AWS"),
        ("[" * 5000, ":1:", "nested"),
    ],
)
def test_what_is_not_understood_has_place_and_hint(text, place, hint):
    status, _, talk = run("check", "-", stdin=text)
    assert status == 3
    assert place in talk and hint in talk, talk


def test_an_unresolved_name_is_named():
    text = (EXAMPLES / "private.toml").read_text().replace('subnet = "ilb"', 'subnet = "ibl"')
    status, out, _ = run("check", "-", stdin=text)
    assert status == 1 and "LB-SUBNET" in out
    text = (EXAMPLES / "private.toml").read_text().replace('nodeSubnet = "aks"', 'nodeSubnet = "ask"')
    assert "did you mean `aks`" in run("check", "-", stdin=text)[1]


def test_unknown_is_not_none():
    text = (EXAMPLES / "private.toml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("peerings")]
    status, out, _ = run("check", "-", stdin="\n".join(lines))
    assert status == 0 and "no peers are given, which is not the same as no peers" in out


def test_auto_is_clean_and_explained(tmp_path):
    target = tmp_path / "aks.toml"
    status, _, talk = run("plan", EXAMPLES / "minimal.toml", "--auto", "--out", target)
    assert status == 0 and "subnet aks: 10.1.0.0/26" in talk, talk
    status, out, _ = run("check", target, "--format", "json")
    assert status == 0 and json.loads(out)["findings"] == []
    assert "# The least that" in target.read_text()
    status, out, _ = run("plan", EXAMPLES / "minimal.toml")
    assert status == 0 and "subnet aks" in out


def test_auto_says_how_many_addresses_are_missing():
    text = (EXAMPLES / "minimal.toml").read_text().replace("10.1.0.0/20", "10.1.0.0/28")
    status, _, talk = run("plan", "--auto", "-", stdin=text)
    assert status == 1 and "are missing" in talk, talk


def test_rendering_is_byte_stable(rendered, tmp_path):
    name = next(name for name in RENDERED if rendered.name.startswith(name))
    run("render", EXAMPLES / f"{name}.toml", "--out", tmp_path)
    first = {path.relative_to(rendered): path.read_bytes() for path in rendered.rglob("*.*")}
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert first == again


def test_scripts_are_scripts(rendered):
    assert subprocess.run(["sh", "-n", rendered / "az" / "deploy.sh"]).returncode == 0
    snippet = rendered / "sdk" / "attach.py"
    if snippet.exists():
        ast.parse(snippet.read_text())
    for path in rendered.rglob("*.*"):
        assert "in the studio" not in path.read_text()


def test_a_rendered_template_is_read_back_and_has_not_drifted(tmp_path):
    run("render", EXAMPLES / "private.toml", "--out", tmp_path)
    status, out, talk = run("diff", EXAMPLES / "private.toml", tmp_path / "arm" / "main.json")
    assert (status, out) == (0, "no drift\n"), talk
    status, out, talk = run("diff", EXAMPLES / "private.toml", tmp_path / "k8s")
    assert (status, out) == (0, "no drift\n"), talk
    policy = tmp_path / "k8s" / "admission-images.yaml"
    policy.write_text(policy.read_text().replace("failurePolicy: Fail", "failurePolicy: Ignore"))
    status, out, _ = run("diff", EXAMPLES / "private.toml", tmp_path / "k8s", "--format", "json")
    drift = json.loads(out)["drift"]
    assert status == 1 and [one["rule"] for one in drift] == ["DRIFT-ADMISSION"]


def test_the_map_is_a_picture():
    status, out, _ = run("draw", EXAMPLES / "colliding.toml")
    root = xml.etree.ElementTree.fromstring(out)
    assert status == 1 and root.tag.endswith("svg") and "#c62828" in out
    status, out, _ = run("draw", EXAMPLES / "private.toml")
    assert status == 0 and "#c62828" not in out


def test_sarif_has_places():
    status, out, _ = run("check", EXAMPLES / "colliding.toml", "--format", "sarif")
    log = json.loads(out)["runs"][0]
    known = {rule["id"] for rule in log["tool"]["driver"]["rules"]}
    assert status == 1 and log["results"]
    for result in log["results"]:
        assert result["ruleId"] in known
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region["startLine"] >= 1 and region["startColumn"] >= 1


def test_the_published_schema_takes_what_is_valid(cases):
    schema = json.loads((ROOT / "docs" / "aks.schema.json").read_text())
    assert run("schema")[1] == (ROOT / "docs" / "aks.schema.json").read_text()
    validator = jsonschema.Draft202012Validator(schema)
    for case in cases:
        errors = [error.message for error in validator.iter_errors(case["plan"])]
        assert errors == [], case["name"]
    assert list(validator.iter_errors({"region": "a", "serviceCIDR": "x"}))
