"""Undefended beside defended: success by distance and rows asked, one fresh identity a victim."""

import contextlib
import pathlib
import sys
import tempfile

import numpy

import attacks
import house

N_VICTIMS = 10
ROWS_MAX = 1_000
STOPPED_WITHIN = 20
# Distances at which success is counted, with the largest share the defended server may lose.
BOUNDS = {"digits-mlp": ((0.25, 0.10), (0.5, 0.20)), "cancer-logistic": ((0.125, 0.10), (0.25, 0.20))}


def measure(server, name):
    clients = []
    for at, victim in enumerate(attacks.victims(server, N_VICTIMS, seed=7)):
        numpy.random.seed(at)
        key = server.issue(f"attacker/{name.lower()}-{at}")
        clients.append(attacks.evade(server, name, victim, key, ROWS_MAX))
    return clients


def share(clients, distance):
    return sum(client.nearest <= distance for client in clients) / len(clients)


def main():
    is_kept = True
    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as servers:
        for example, bounds in BOUNDS.items():
            open_one, guarded = (
                house.House(pathlib.Path(root) / f"{example}-{mode}", example, mode)
                for mode in ("open", "enforce")
            )
            servers.callback(open_one.stop)
            servers.callback(guarded.stop)
            near, far = (distance for distance, _ in bounds)
            print(f"{example}: success within {near} / {far}, {N_VICTIMS} victims")
            for name in attacks.EVASION:
                if name in attacks.DIGITS_ONLY and example != "digits-mlp":
                    continue
                bare, held = measure(open_one, name), measure(guarded, name)
                stopped = sorted(client.n_rows for client in held if client.status)
                says = f"{stopped[len(stopped) // 2]} rows (most {stopped[-1]})" if stopped else "-"
                print(f"  {name:<12} undefended {share(bare, near):.2f} / {share(bare, far):.2f}"
                      f"   defended {share(held, near):.2f} / {share(held, far):.2f}"
                      f"   stopped {len(stopped)} of {len(held)} after {says}", flush=True)
                is_kept &= all(share(held, distance) <= most for distance, most in bounds)
                is_kept &= not stopped or stopped[-1] <= STOPPED_WITHIN
    print("every bound is kept" if is_kept else "A BOUND IS BROKEN")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
