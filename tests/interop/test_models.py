"""Models come and go while requests are answered."""

import threading

import requests

from house import EXAMPLES, House

MODEL = "cancer-logistic"
N_ROUNDS = 6
N_CLIENTS = 4


def test_no_request_is_lost_while_versions_are_loaded_and_unloaded(tmp_path, heldout):
    row = heldout(MODEL)[0].tolist()
    example = EXAMPLES / MODEL
    with House(tmp_path / "env") as house:
        replies, stop = [], threading.Event()

        def ask():
            with requests.Session() as session:
                while not stop.is_set():
                    reply = house.infer(MODEL, [row], session=session, timeout=10)
                    replies.append((reply.status_code, reply.json().get("model_version")))

        clients = [threading.Thread(target=ask) for _ in range(N_CLIENTS)]
        for client in clients:
            client.start()
        try:
            house.cli(
                "model", "add", str(example / "model.onnx"), "--name", MODEL,
                "--contract", str(example / "contract.toml"),
            )
            for _ in range(N_ROUNDS):
                house.cli("model", "unload", MODEL, "1")
                house.cli("model", "load", MODEL, "1")
                house.cli("model", "unload", MODEL, "2")
                house.cli("model", "load", MODEL, "2")
        finally:
            stop.set()
            for client in clients:
                client.join()
    assert {status for status, _ in replies} == {200}
    assert {version for _, version in replies} == {"1", "2"}, "both versions answered"
