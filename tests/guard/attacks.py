"""The attacks of the Adversarial Robustness Toolbox, each with small bounds."""

import signal
import warnings

import numpy
from art.attacks.evasion import (
    BoundaryAttack, GeoDA, HopSkipJump, SignOPTAttack, SimBA, SquareAttack, ZooAttack,
)
from art.estimators.classification import BlackBoxClassifierNeuralNetwork

import house

warnings.filterwarnings("ignore")
# GeoDA of ART 1.20.1 still calls it by the name that NumPy 2 took away.
numpy.mat = numpy.asmatrix


def classifier(client, shape):
    n_classes = house.CLASSES[client.server.example]
    return BlackBoxClassifierNeuralNetwork(
        client.predict, shape, n_classes, channels_first=True, clip_values=(0.0, 1.0))


EVASION = {
    "HopSkipJump": lambda c: HopSkipJump(
        c, norm=2, max_iter=5, max_eval=100, init_eval=20, init_size=30, batch_size=1, verbose=False),
    "Boundary": lambda c: BoundaryAttack(
        c, targeted=False, max_iter=100, delta=0.01, epsilon=0.01, init_size=30, batch_size=1,
        verbose=False),
    "ZOO": lambda c: ZooAttack(
        c, max_iter=20, binary_search_steps=3, nb_parallel=8, use_resize=False,
        use_importance=False, batch_size=1, verbose=False),
    "SignOPT": lambda c: SignOPTAttack(
        c, targeted=False, max_iter=10, num_trial=10, k=20, batch_size=1, verbose=False),
    "SimBA": lambda c: SimBA(c, attack="px", epsilon=0.3, max_iter=500, batch_size=1, verbose=False),
    "GeoDA": lambda c: GeoDA(
        c, norm=2, sub_dim=8, max_iter=300, bin_search_tol=0.1, batch_size=1, verbose=False),
    "Square": lambda c: SquareAttack(
        c, norm=numpy.inf, eps=0.1, max_iter=300, p_init=0.2, nb_restarts=1, batch_size=1,
        verbose=False),
}
# These work on pictures of one channel, or not on two classes.
ON_PICTURES = {"GeoDA", "SimBA", "Square"}
DIGITS_ONLY = ON_PICTURES | {"SignOPT"}


# Longest time for one victim: some attacks look for ever where they find no start.
VICTIM_S_MAX = 20


def out_of_time(*_):
    raise house.Stopped("time")


def evade(server, name, victim, key, rows_max):
    """Attacks one victim with one identity: the client, with what it saw."""
    client = house.Client(server, key)
    client.rows_max = rows_max
    shape = (1, 8, 8) if name in ON_PICTURES else victim.shape
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(VICTIM_S_MAX)
    try:
        client.aim(victim)
        one_hot = numpy.eye(house.CLASSES[server.example])[[client.own_class]]
        attack = EVASION[name](classifier(client, shape))
        attack.generate(x=victim.reshape(1, *shape).astype(numpy.float32), y=one_hot)
    except house.Stopped:
        pass
    finally:
        signal.alarm(0)
    return client


def victims(server, n, seed):
    rows = house.rows_of(server.example, "heldout")
    drawn = numpy.random.default_rng(seed).choice(len(rows), n, replace=False)
    return numpy.clip((rows[drawn] - server.lowest) / server.span, 0, 1)
