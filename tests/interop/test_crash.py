"""SIGKILL under load: every answer that left has its record."""

import os
import random
import threading
import time

import requests

from house import House

CRASHES = int(os.environ.get("CRASHES", "50"))
MODEL = "cancer-logistic"
N_CLIENTS = 4
# Of each crash's answers, the newest are traced one by one, and some of the rest.
N_NEWEST, N_OTHERS = 4, 2


def load(house, row, answered, stop):
    """Asks until the server is gone; notes each answer that arrived whole."""
    with requests.Session() as session:
        while not stop.is_set():
            try:
                reply = house.infer(MODEL, [row], session=session, timeout=10)
            except requests.RequestException:
                return
            if reply.status_code == 200:
                receipt = reply.headers["bartizan-receipt"]
                answered.append((reply.headers["bartizan-decision"], receipt))


def test_every_answered_request_has_its_record(tmp_path, heldout):
    chance = random.Random(7)
    row = heldout(MODEL)[0].tolist()
    house = House(tmp_path / "env")
    n_answered = 0
    indices = {}
    for _ in range(CRASHES):
        house.start()
        answered, stop = [], threading.Event()
        clients = [
            threading.Thread(target=load, args=(house, row, answered, stop))
            for _ in range(N_CLIENTS)
        ]
        for client in clients:
            client.start()
        time.sleep(chance.uniform(0.05, 0.3))
        house.kill()
        stop.set()
        for client in clients:
            client.join()
        n_answered += len(answered)
        for decision, receipt in answered:
            index = receipt.partition(";index=")[2].partition(";")[0]
            assert indices.setdefault(index, decision) == decision, "an index was given twice"
        others = chance.sample(answered[:-N_NEWEST], min(N_OTHERS, len(answered[:-N_NEWEST])))
        for decision, receipt in answered[-N_NEWEST:] + others:
            said = house.cli("trace", decision)
            assert decision in said, said
        house.cli("ledger", "verify")
    assert n_answered >= CRASHES, f"only {n_answered} answers in {CRASHES} crashes"
    # The log is whole and gap-free (verified), so an answered index below its size is in it.
    with house:
        reply = house.infer(MODEL, [row])
        last = int(reply.headers["bartizan-receipt"].partition(";index=")[2].partition(";")[0])
    assert max(map(int, indices)) < last
