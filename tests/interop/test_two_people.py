"""What takes two people: asked for, agreed to, refused, and the glass."""

import json

import pytest
import requests

from house import House, free_port

TRUST = {"domain": "admin.dev", "roots": "tls/administrators.pem",
         "actions": ["infer", "describe", "admin", "metrics", "trace"]}
POLICIES = """
[roles]
operator = ["spiffe/admin.dev/administrator/ann", "spiffe/admin.dev/administrator/bob"]
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "env"
    house = House(
        folder, init=("--administrator", "ann", "--administrator", "bob"),
        admin={"address": f"127.0.0.1:{free_port()}"}, trust=[TRUST],
        approvals={"operations": ["revoke"]},
    )
    if (folder / "policies").is_dir():
        (folder / "policies" / "projects.toml").write_text(POLICIES)
    with house:
        yield house


def operate(house, person, operation, **body):
    url = f"https://localhost:{house.config['admin']['address'].rsplit(':', 1)[1]}"
    cert = str(house.folder / "administrators" / f"{person}.pem")
    return requests.post(f"{url}/admin/v1/{operation}", json=body, cert=cert,
                         verify=house.authority, timeout=30)


def test_it_takes_two_people_and_the_requester_is_not_the_second(strict):
    asked = operate(strict, "ann", "revoke", kind="principal", value="mallory", for_s=60)
    assert asked.status_code == 200, asked.text
    waiting = asked.json()["approval"]
    assert waiting in strict.cli("approve", "list")
    own = operate(strict, "ann", "approve", id=waiting, verdict="agree")
    assert own.status_code == 409 and "somebody else" in own.json()["error"], own.text
    local = strict.run("approve", waiting)
    assert local.returncode == 1 and "local user" in local.stderr, local.stderr
    key = strict.issue("mallory")
    headers = {"Authorization": f"Bearer {key}"}
    assert strict.get("/v2", headers=headers).status_code == 200, "it was done by one"
    agreed = operate(strict, "bob", "approve", id=waiting, verdict="agree")
    assert agreed.status_code == 200 and "receipt" in agreed.json(), agreed.text
    assert strict.get("/v2", headers=headers).status_code in (401, 429)
    again = operate(strict, "bob", "approve", id=waiting, verdict="agree")
    assert again.status_code == 404, again.text


def test_a_local_requester_needs_two_others(strict):
    done = strict.run("revoke", "principal", "trudy")
    assert done.returncode == 1 and "takes two people" in done.stderr, done.stderr
    waiting = strict.cli("approve", "list").split("\t")[0]
    first = operate(strict, "ann", "approve", id=waiting, verdict="agree")
    assert first.json() == {"approved": waiting}, first.text
    door = ("--server", f"https://localhost:{strict.config['admin']['address'].rsplit(':', 1)[1]}",
            "--certificate", str(strict.folder / "administrators" / "bob.pem"),
            "--authority", strict.authority)
    assert "receipt" in json.loads(strict.cli("approve", waiting, *door))


def test_what_is_refused_is_gone(strict):
    asked = operate(strict, "ann", "revoke", kind="principal", value="eve", for_s=60)
    waiting = asked.json()["approval"]
    assert operate(strict, "bob", "approve", id=waiting, verdict="refuse").status_code == 200
    assert operate(strict, "bob", "approve", id=waiting, verdict="agree").status_code == 404


def test_the_glass_lets_one_person_act_and_waits_for_its_review(strict):
    assert strict.run("break-glass", "--reason", "short").returncode == 1
    glass = strict.cli("break-glass", "--reason", "the second person is out", "--for", "1h").strip()
    strict.cli("revoke", "principal", "oscar")
    log = (strict.folder / "serve.log").read_text()
    assert "admin.glass.broken" in log and "admin.glass.used" in log
    assert glass in strict.cli("approve", "list")
    assert strict.run("approve", glass, "--review").returncode == 1, "the breaker reviewed himself"
    assert operate(strict, "bob", "approve", id=glass, verdict="review").status_code == 200
    assert strict.run("revoke", "principal", "peggy").returncode == 1, "the glass is still broken"
