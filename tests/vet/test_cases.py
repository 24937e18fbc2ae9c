"""The public cases: what was planted is ranked, named and flagged; clean data stays clean."""
import csv
import json

import pytest

#: Least average precision, by what a case's name says was planted.
FLOORS = {
    "digits_flip05": ("label", 0.98), "digits_targeted": ("label", 0.68), "bcw_flip10": ("label", 0.90),
    "bcw_targeted": ("label", 0.71), "adult_flip05": ("label", 0.60), "sms_flip05": ("label", 0.935),
    "cifaremb_flip05": ("label", 0.62), "adult_contributor": ("source", 0.90),
    "digits_patch03": ("trigger", 0.95), "digits_blend03": ("trigger", 0.95), "bcw_trigger02": ("trigger", 0.95),
    "adult_trigger02": ("trigger", 0.95), "sms_trigger02": ("trigger", 0.95), "sms_commonphrase": ("trigger", 0.95),
    "bcw_unit": ("shift", 0.95), "adult_unit": ("shift", 0.95), "adult_schema": ("schema", 0.95),
    "digits_dupflood": ("duplicate", 0.93), "adult_dupflood": ("duplicate", 0.93), "sms_dupflood": ("duplicate", 0.93),
    "digits_leak": ("leak", 0.93), "digits_outliers": ("outlier", 0.99), "bcw_outliers": ("outlier", 0.68),
}
CLEAN = ["digits_clean", "bcw_clean", "adult_clean", "sms_clean", "cifaremb_clean"]
NAMED = {
    "digits_patch03": ["p063 = 16", "p054 = 16"], "sms_trigger02": ["north lantern"], "sms_commonphrase": ["see you there"],
    "adult_trigger02": ["Protective-serv", "hours_per_week = 32", "Scotland"],
    "bcw_trigger02": ["worst_radius = 13.60837", "compactness_error = 0.02753"],
}


def average_precision(scores, truth):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits, total, at = 0, 0.0, 0
    while at < len(order):
        end = at
        while end < len(order) and scores[order[end]] == scores[order[at]]:
            end += 1
        new = sum(truth[i] for i in order[at:end])
        hits += new
        total += new * hits / end
        at = end
    return total / max(1, sum(truth))


def vet(cases, run, name, *more):
    meta = json.loads((cases / "cases.json").read_text())[name]
    args = [cases / "cases" / f"{name}.parquet", "--format", "json", *more]
    if meta.get("label"):
        args += ["--label", meta["label"]]
    if meta.get("text"):
        args += ["--text", meta["text"]]
    if meta["family"] == "adult":
        args += ["--source", "source"]
    if meta["baseline"]:
        args += ["--baseline", cases / "baseline" / f"{name}.parquet"]
    code, out, err = run(*args)
    assert code in (0, 1), err
    with open(cases / "truth" / f"{name}.csv") as file:
        truth = [int(row["poison"]) for row in csv.DictReader(file)]
    return code, json.loads(out), truth, meta


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_what_was_planted_is_ranked_first(cases, run, name):
    issue, floor = FLOORS[name]
    _, report, truth, meta = vet(cases, run, name)
    found = average_precision(report["scores"][issue], truth)
    assert floor <= found, f"{issue} {found:.3f}"
    if "column" in meta:
        assert max(report["columns"], key=report["columns"].get) == meta["column"]
    if "bad_source" in meta:
        assert max(report["sources"], key=report["sources"].get) == meta["bad_source"]


@pytest.mark.parametrize("name", CLEAN)
def test_clean_data_is_clean(cases, run, name):
    code, report, truth, _ = vet(cases, run, name)
    assert code == 0 and report["verdict"] == "clean", report["findings"][:2]
    flagged = {row for rows in report["flags"].values() for row in rows}
    assert len(flagged) <= 0.01 * len(truth)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_the_pattern_is_named(cases, run, name):
    code, report, _, _ = vet(cases, run, name)
    claims = [f["claim"] for f in report["findings"] if f["rule"] == "vet.pattern.trigger"]
    assert code == 1 and any(all(part in claim for part in NAMED[name]) for claim in claims), claims


def test_one_and_two_threads_print_the_same_bytes(cases, run):
    args = [cases / "cases/adult_contributor.parquet", "--label", "label", "--source", "source", "--format", "json"]
    assert run(*args, "--threads", "1")[1] == run(*args, "--threads", "2")[1]
