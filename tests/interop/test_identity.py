"""Tokens of a real OpenID provider and of a cluster, client certificates, and their forgeries.

The provider is npm's `oidc-provider` on loopback, installed here in the cache; needs Node 20.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import threading
import time

import pytest
import requests

from house import House, free_port, infer_body, is_refusal

HERE = pathlib.Path(__file__).parent
MODEL = "cancer-logistic"
ROW = [[1.0] * 30]
AUDIENCE = "api://bartizan-test"
START_WAIT_S = 60.0
LOOK_PAUSE_S = 10.0
POLICIES = """
[roles]
workload = ["group:corp/role:Model.Infer", "aks/fraud/scorer", "spiffe/admin.dev/administrator/ann"]
"""


def npm_folder():
    """The provider's packages, made whole once for each lock file."""
    lock = (HERE / "oidc" / "package-lock.json").read_bytes()
    cache = pathlib.Path(os.environ.get("BARTIZAN_CACHE", pathlib.Path.home() / ".cache/bartizan"))
    folder = cache / f"npm-oidc-{hashlib.sha256(lock).hexdigest()[:16]}"
    mark = folder / "bartizan-complete"
    if not mark.exists():
        if shutil.which("npm") is None:
            pytest.fail("npm is needed (Debian: nodejs and npm)")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "oidc" / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        mark.touch()
    shutil.copy(HERE / "oidc" / "provider.mjs", folder)
    return folder


class Issuers:
    """The provider and the cluster."""

    def __init__(self):
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rsplit(":", 1)[1]
        self.process = subprocess.Popen(
            ["node", str(npm_folder() / "provider.mjs"), port],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        line = self.process.stdout.readline()
        assert line.startswith("listening"), line

    def control(self, verb, **body):
        reply = requests.post(f"{self.url}/control/{verb}", json=body, timeout=30)
        return reply.json()

    def token(self):
        """An access token as the provider gives it to a client of its own."""
        data = {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "score"}
        auth = ("scorer", "only-on-loopback")
        reply = requests.post(f"{self.url}/token", data=data, auth=auth, timeout=30)
        return reply.json()["access_token"]

    def claims(self, **changes):
        """A service account's claims; a change to None takes one out."""
        now = int(time.time())
        claims = {
            "iss": f"{self.url}/cluster", "aud": [AUDIENCE], "iat": now, "nbf": now,
            "exp": now + 600, "sub": "system:serviceaccount:fraud:scorer", "jti": "t1",
            "kubernetes.io": {
                "namespace": "fraud",
                "serviceaccount": {"name": "scorer", "uid": "u1"},
                "pod": {"name": "scorer-0", "uid": "p1"},
            },
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, header=None, kind="rsa", forged=False, **changes):
        claims = self.claims(**changes)
        body = {"kind": kind, "header": header or {}, "claims": claims, "forged": forged}
        return self.control("sign", **body)["token"]

    def stop(self):
        self.process.kill()
        self.process.wait()


def issuer_config(issuers):
    own = {"name": "corp", "issuer": issuers.url, "audience": AUDIENCE, "tokens": "at-jwt"}
    cluster = {
        "name": "aks", "kind": "kubernetes", "issuer": f"{issuers.url}/cluster",
        "audience": AUDIENCE,
    }
    return [own, cluster]


@pytest.fixture(scope="module")
def issuers():
    issuers = Issuers()
    yield issuers
    issuers.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, issuers):
    folder = tmp_path_factory.mktemp("identity") / "env"
    init = ("--administrator", "ann", "--administrator", "bob")
    admin = f"127.0.0.1:{free_port()}"
    trust = {"domain": "admin.dev", "roots": "tls/administrators.pem",
             "actions": ["infer", "describe", "admin", "metrics", "trace"]}
    house = House(folder, init=init, admin={"address": admin}, issuer=issuer_config(issuers),
                  trust=[trust])
    if (folder / "policies").is_dir():
        (folder / "policies" / "projects.toml").write_text(POLICIES)
    with house:
        wait_for_keys(house, issuers)
        yield house


def wait_for_keys(house, issuers):
    end = time.monotonic() + START_WAIT_S
    while ask(house, issuers.token()).status_code != 200:
        assert time.monotonic() < end, (house.folder / "serve.log").read_text()
        time.sleep(0.2)


def ask(house, token, session=requests, **kwargs):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return house.infer(MODEL, ROW, session=session, headers=headers, **kwargs)


def administrator(house, name):
    return str(house.folder / "administrators" / f"{name}.pem")


def encode(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_providers_token_and_a_clusters_open_the_model(guarded, issuers):
    for token in (issuers.token(), issuers.sign(), issuers.sign(kind="ec"), issuers.sign(kind="ed")):
        reply = ask(guarded, token)
        assert reply.status_code == 200, reply.text
        decision = reply.headers["bartizan-decision"]
        trace = guarded.cli("trace", decision)
        assert "oidc:corp" in trace or "oidc:aks" in trace, trace


def test_every_forged_token_gets_one_and_the_same_answer(guarded, issuers):
    good = issuers.sign()
    header, payload, signature = good.split(".")
    public = requests.get(f"{issuers.url}/cluster/keys", timeout=30).content
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]

    def confused(alg, secret):
        signed = f"{encode({'alg': alg, 'kid': kid})}.{payload}"
        return f"{signed}.{encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"

    now = int(time.time())
    forged = {
        "none": f"{encode({'alg': 'none', 'kid': kid})}.{payload}.",
        "none with a signature": f"{encode({'alg': 'none', 'kid': kid})}.{payload}.{signature}",
        "no signature": f"{header}.{payload}.",
        "HS256 over the published keys": confused("HS256", public),
        "RS256 over an HMAC": confused("RS256", public),
        "another's key": issuers.sign(forged=True),
        "another audience": issuers.sign(aud=["api://bartizan-prod"]),
        "an audience that only begins alike": issuers.sign(aud=[AUDIENCE + "-2"]),
        "another issuer": issuers.sign(iss="https://evil.example"),
        "the other issuer's name": issuers.sign(iss=issuers.url),
        "expired": issuers.sign(exp=now - 61, iat=now - 600),
        "without an end": issuers.sign(exp=None),
        "not yet": issuers.sign(nbf=now + 120),
        "issued in the future": issuers.sign(iat=now + 120),
        "too long lived": issuers.sign(exp=now + 10**7),
        "key id of a file": issuers.sign(header={"kid": "../../../../dev/null"}),
        "key id of a query": issuers.sign(header={"kid": "x' UNION SELECT 'secret"}),
        "key brought along": issuers.sign(header={"jku": "https://evil.example/keys"}),
        "extension": issuers.sign(header={"crit": ["exp"]}),
        "another account": issuers.sign(sub="system:serviceaccount:fraud:admin"),
        "no pod": issuers.sign(**{"kubernetes.io": {
            "namespace": "fraud", "serviceaccount": {"name": "scorer", "uid": "u1"}}}),
        "group overage": issuers.sign(hasgroups=True),
        "bound to another key": issuers.sign(cnf={"jkt": "x"}),
        "oversized": issuers.sign(jti="x" * 6_000),
    }
    answers = set()
    for what, token in forged.items():
        reply = ask(guarded, token)
        if reply.status_code == 429:
            # Many failures from one source are throttled, which is as far from a handler.
            assert is_refusal(reply, 429, "throttled")
            continue
        assert is_refusal(reply, 401, "unauthenticated"), what
        body = reply.json()
        assert body.pop("decision"), what
        answers.add(json.dumps(body, sort_keys=True))
    assert len(answers) == 1, answers
    assert ask(guarded, good).status_code == 200, "a good token suffers with its source"


def test_unknown_key_ids_do_not_drive_the_issuer(guarded, issuers):
    before, begun = issuers.control("counts")["cluster"], time.monotonic()
    with requests.Session() as session:
        for n in range(400):
            token = issuers.sign(header={"kid": f"k{n}"}) if n % 100 == 0 else token
            header = encode({"alg": "RS256", "kid": f"k{n}"})
            reply = ask(guarded, f"{header}.{token.split('.', 1)[1]}", session=session)
            assert reply.status_code in (401, 429), reply.text
    looks = issuers.control("counts")["cluster"] - before
    assert looks <= 1 + (time.monotonic() - begun) / LOOK_PAUSE_S, looks


def test_keys_rotate_in_flight_without_a_failure(guarded, issuers):
    """Old tokens and new ones go on being taken while the provider turns to another key."""
    time.sleep(LOOK_PAUSE_S + 0.5)
    old, failures, stop = issuers.token(), [], threading.Event()

    def load():
        with requests.Session() as session:
            while not stop.is_set():
                for token in (old, issuers.token()):
                    reply = ask(guarded, token, session=session)
                    if reply.status_code != 200:
                        failures.append(reply.text)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    kid = issuers.control("rotate")["kid"]
    time.sleep(2)
    stop.set()
    for thread in threads:
        thread.join()
    header = issuers.token().split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["kid"] == kid
    assert failures == []


def test_a_poisoned_key_set_changes_nothing(guarded, issuers):
    time.sleep(LOOK_PAUSE_S + 0.5)
    issuers.control("say", text=json.dumps({"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}]}))
    try:
        assert ask(guarded, issuers.sign(header={"kid": "k"})).status_code in (401, 429)
        assert ask(guarded, issuers.sign()).status_code == 200
    finally:
        issuers.control("say", text=None)


def test_an_administrators_certificate_is_who_he_is(guarded):
    admin = f"https://localhost:{guarded.config['admin']['address'].rsplit(':', 1)[1]}"

    def operate(**kwargs):
        return requests.post(f"{admin}/admin/v1/key-list", data=b"{}", verify=guarded.authority,
                             timeout=30, **kwargs)

    assert is_refusal(operate(), 401, "unauthenticated")
    key = guarded.issue("ops", "--action", "admin")
    headers = {"Authorization": f"Bearer {key}"}
    assert is_refusal(operate(headers=headers), 403, "forbidden")
    reply = ask(guarded, None, cert=administrator(guarded, "ann"))
    assert reply.status_code == 200, reply.text
    assert "mtls:" in guarded.cli("trace", reply.headers["bartizan-decision"])


def test_a_bound_token_is_good_beside_its_certificate_only(guarded, issuers):
    pem = pathlib.Path(administrator(guarded, "ann")).read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 26])
    bound = issuers.sign(cnf={"x5t#S256": encode(hashlib.sha256(der).digest())})
    assert ask(guarded, bound, cert=administrator(guarded, "ann")).status_code == 200
    for stolen in (ask(guarded, bound), ask(guarded, bound, cert=administrator(guarded, "bob"))):
        assert stolen.status_code in (401, 429), stolen.text


def test_a_reload_under_load_fails_nobody(guarded, issuers):
    """Keys, tokens and certificates are asked with while everything is read again and again."""
    token, failures, stop = issuers.sign(), [], threading.Event()
    ways = [
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"headers": guarded.headers},
        {"headers": {}, "cert": administrator(guarded, "ann")},
    ]

    def load(way):
        with requests.Session() as session:
            while not stop.is_set():
                reply = guarded.infer(MODEL, ROW, session=session, **way)
                if reply.status_code != 200:
                    failures.append((way, reply.text))

    threads = [threading.Thread(target=load, args=(way,)) for way in ways]
    for thread in threads:
        thread.start()
    for _ in range(15):
        guarded.process.send_signal(signal.SIGHUP)
        time.sleep(0.15)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_domain_that_is_gone_takes_its_open_connections_along(guarded):
    with requests.Session() as session:
        session.cert = administrator(guarded, "bob")
        listed = f"https://localhost:{guarded.config['admin']['address'].rsplit(':', 1)[1]}/metrics"
        asked = session.get(listed, verify=guarded.authority, timeout=30)
        assert asked.status_code in (200, 403), asked.text
        kept = guarded.config.pop("trust")
        guarded.configure()
        guarded.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        asked = session.get(listed, verify=guarded.authority, timeout=30)
        assert asked.status_code in (401, 429), asked.text
        guarded.configure(trust=kept)
        guarded.process.send_signal(signal.SIGHUP)
        time.sleep(1)


def test_what_is_cached_goes_on_without_the_issuer(guarded, issuers):
    """The last test: the issuers are gone after it."""
    tokens = [issuers.token(), issuers.sign()]
    assert [ask(guarded, token).status_code for token in tokens] == [200, 200]
    fresh = issuers.sign(jti="never seen")
    issuers.stop()
    for token in [*tokens, fresh]:
        assert ask(guarded, token).status_code == 200
