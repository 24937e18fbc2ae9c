"""Every route with no, wrong, expired, revoked and out-of-scope keys.

The routes stand in `routes.json`; a test of xtask fails while that table and the server's own
differ, so a new route without a row here does not pass.
"""

import json
import pathlib
import time

import pytest
import requests

from house import House, free_port, infer_body, is_refusal

ROUTES = json.loads((pathlib.Path(__file__).parent / "routes.json").read_text())
# Calls of gRPC have their own kind of refusal: see `test_oip.py`.
OVER_NETWORK = [
    route for route in ROUTES
    if route["listener"] in ("inference", "admin")
    and not route["path"].startswith(("/inference.", "/grpc."))
]
MODEL = "cancer-logistic"
REVOKED_WITHIN_S = 1.0


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A house with an admin listener and a key of each bad kind."""
    folder = tmp_path_factory.mktemp("access") / "env"
    admin = f"127.0.0.1:{free_port()}"
    with House(
        folder, models=[MODEL, "digits-mlp"], admin={"address": admin},
        score={"model": MODEL},
    ) as house:
        flipped = "a" if house.key[-12] != "a" else "b"
        expired = house.issue("late", lifetime="1s")
        revoked = house.issue("gone")
        house.cli("key", "revoke", key_id(revoked))
        house.bad = {
            "none": None,
            "garbage": "bz_nothing",
            "wrong": house.key[:-12] + flipped + house.key[-11:],
            "expired": expired,
            "revoked": revoked,
        }
        time.sleep(2.1)
        yield house


def key_id(key):
    """The public part of a key's text: `bz_<env>_<id>_<secret>`."""
    return key.split("_")[2]


def ask(house, route, key):
    """Calls a route with a plausible body, and a key or none."""
    path = route["path"].replace("{model}", MODEL).replace("{version}", "1")
    path = path.replace("{operation}", "key-list")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    base = house.url
    if route["listener"] == "admin":
        base = f"https://localhost:{house.config['admin']['address'].rsplit(':', 1)[1]}"
    body = infer_body([[1.0] * 30]) if path.endswith("/infer") else b"{}"
    return requests.request(
        route["method"], base + path, headers=headers, verify=house.authority, timeout=30,
        data=body if route["method"] == "POST" else None,
    )


@pytest.mark.parametrize("route", OVER_NETWORK, ids=lambda route: f"{route['listener']} {route['method']} {route['path']}")
def test_no_bad_key_reaches_a_handler(guarded, route):
    """Where nothing is needed the answer is a constant; elsewhere each bad key is refused alike."""
    replies = {kind: ask(guarded, route, key) for kind, key in guarded.bad.items()}
    if route["needs"] == "nothing":
        assert {reply.status_code for reply in replies.values()} == {200}
        assert len({reply.content for reply in replies.values()}) == 1
        return
    for kind, reply in replies.items():
        # Many failures from one source are throttled, which is as far from a handler.
        if reply.status_code == 429:
            assert is_refusal(reply, 429, "throttled")
            assert int(reply.headers["Retry-After"]) > 0
        else:
            assert is_refusal(reply, 401, "unauthenticated"), kind
            assert "Bearer" in reply.headers["WWW-Authenticate"]


@pytest.mark.parametrize("route", OVER_NETWORK, ids=lambda route: f"{route['listener']} {route['method']} {route['path']}")
def test_a_good_key_reaches_only_what_it_covers(guarded, route):
    """One key for each action: it opens the routes that need it and no other."""
    if route["needs"] == "nothing":
        return
    for action in ["infer", "describe", "admin", "metrics", "trace"]:
        key = guarded.issue(f"only-{action}", "--action", action)
        reply = ask(guarded, route, key)
        if action == "admin" and route["listener"] == "admin":
            # Over the network an API key does not administer.
            assert is_refusal(reply, 403, "forbidden"), action
        elif action == "admin" == route["needs"]:
            # Loading is off on the inference listener until the operator sets it.
            assert is_refusal(reply, 403, "forbidden") and "repository_control" in reply.text
        elif action == route["needs"]:
            assert reply.status_code not in (401, 403, 404), f"{action}: {reply.text}"
        else:
            assert is_refusal(reply, 403, "forbidden"), action


def test_a_key_for_one_model_does_not_open_another(guarded):
    key = guarded.issue("narrow", "--model", "digits-mlp")
    headers = {"Authorization": f"Bearer {key}"}
    assert is_refusal(guarded.infer(MODEL, [[1.0] * 30], headers=headers), 403, "forbidden")
    assert is_refusal(guarded.get(f"/v2/models/{MODEL}", headers=headers), 403, "forbidden")
    assert guarded.infer("digits-mlp", [[1.0] * 64], headers=headers).status_code == 200


def test_a_revoked_key_is_refused_within_a_second(guarded):
    key = guarded.issue("soon-gone")
    headers = {"Authorization": f"Bearer {key}"}
    assert guarded.infer(MODEL, [[1.0] * 30], headers=headers).status_code == 200
    guarded.cli("key", "revoke", key_id(key))
    time.sleep(REVOKED_WITHIN_S)
    reply = guarded.infer(MODEL, [[1.0] * 30], headers=headers)
    assert reply.status_code in (401, 429), reply.text


def test_obligations_of_a_key_shape_the_answer(guarded):
    whole = guarded.infer(MODEL, [[1.0] * 30]).json()["outputs"]
    key = guarded.issue("least", "--action", "infer", "--label-only")
    headers = {"Authorization": f"Bearer {key}"}
    least = guarded.infer(MODEL, [[1.0] * 30], headers=headers).json()["outputs"]
    assert [output["name"] for output in least] == ["label"]
    assert least[0] in whole


def test_nothing_says_which_check_failed(guarded):
    """Unknown, wrong, expired and revoked are one answer to the caller, but for the decision."""
    route = next(route for route in OVER_NETWORK if route["path"] == "/v2")
    bodies = set()
    for key in guarded.bad.values():
        reply = ask(guarded, route, key)
        if reply.status_code == 401:
            body = reply.json()
            body.pop("decision", None)
            bodies.add(json.dumps(body, sort_keys=True))
    assert len(bodies) <= 1, bodies
