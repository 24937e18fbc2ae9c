"""Callers that send tables: the same rows in every protocol get the same answers."""

import csv
import io
import tomllib

import pytest

from house import EXAMPLES

MODEL = "cancer-logistic"
N_ROWS = 20


@pytest.fixture(scope="module")
def table(heldout):
    """Names of the contract's columns, and rows that no model was trained on."""
    contract = tomllib.loads((EXAMPLES / MODEL / "contract.toml").read_text())
    names = [feature["name"] for feature in contract["inputs"][0]["features"]]
    rows = [[float(cell) for cell in row] for row in heldout(MODEL)[:N_ROWS]]
    return names, rows


@pytest.fixture(scope="module")
def labels(house, table):
    """What the Open Inference Protocol answers."""
    reply = house.infer(MODEL, table[1])
    assert reply.status_code == 200, reply.text
    return next(out["data"] for out in reply.json()["outputs"] if out["name"] == "label")


def azure(house, **kwargs):
    headers = {**house.headers, "azureml-model-deployment": MODEL}
    return house.post("/score", headers=headers, **kwargs)


def records(names, rows):
    return [dict(zip(names, row)) for row in rows]


def split(names, rows, order=1):
    """pandas' `split`; columns the other way round with `order` -1."""
    return {"columns": names[::order], "index": list(range(len(rows))), "data": [row[::order] for row in rows]}


def test_kserve_v1_answers_as_the_protocol_that_follows_it(house, table, labels):
    names, rows = table
    for body in [{"instances": rows}, {"inputs": rows}, {"instances": records(names, rows)}]:
        reply = house.post(f"/v1/models/{MODEL}:predict", json=body)
        assert reply.status_code == 200, reply.text
        assert reply.json() == {"predictions": labels}
    assert MODEL in house.get("/v1/models").json()["models"]
    assert house.get(f"/v1/models/{MODEL}").json() == {"name": MODEL, "ready": True}


def test_azure_ml_takes_every_form_and_answers_in_it(house, table, labels):
    names, rows = table
    for body, answer in [
        ({"data": rows}, labels),
        ({"data": records(names, rows)}, labels),
        ({"input_data": split(names, rows)}, labels),
        ({"input_data": split(names, rows, order=-1)}, labels),
        ({"Inputs": {"data": records(names, rows)}, "GlobalParameters": 1.0}, {"Results": labels}),
    ]:
        reply = azure(house, json=body)
        assert reply.status_code == 200, reply.text
        assert reply.json() == answer
        assert reply.headers["x-ms-run-function-failed"] == "False"
        assert reply.headers["x-request-id"] == reply.headers["bartizan-decision"]
    proba = {"Inputs": {"data": rows}, "GlobalParameters": {"method": "predict_proba"}}
    results = azure(house, json=proba).json()["Results"]
    assert len(results) == N_ROWS and all(abs(sum(row) - 1) < 1e-5 for row in results)


def test_csv_of_any_order_gives_the_same_answers(house, table, labels):
    names, rows = table
    for order in [1, -1]:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(names[::order])
        writer.writerows([repr(cell) for cell in row[::order]] for row in rows)
        headers = {**house.headers, "azureml-model-deployment": MODEL, "Content-Type": "text/csv"}
        reply = house.post("/score", headers=headers, data=text.getvalue().encode())
        assert reply.status_code == 200, reply.text
        assert reply.json() == labels


def test_a_path_that_names_no_model_says_so_where_there_are_several(house, table):
    reply = house.post("/invocations", json={"instances": table[1]})
    assert reply.status_code == 404, reply.text
    assert reply.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert "score.model" in reply.json()["message"]


def test_liveness_of_each_protocol_is_a_constant_for_strangers(house):
    for path, text in [("/", "Healthy"), ("/ping", "\n"), ("/health", "\n")]:
        reply = house.get(path, headers={})
        assert (reply.status_code, reply.text) == (200, text)


def test_swagger_describes_the_contracts_columns(house, table):
    headers = {**house.headers, "azureml-model-deployment": MODEL}
    for version, place in [("2", "definitions"), ("3", "components")]:
        reply = house.get(f"/swagger.json?version={version}", headers=headers)
        assert reply.status_code == 200, reply.text
        schemas = reply.json()[place]
        schemas = schemas.get("schemas", schemas)
        row = schemas["ServiceInput"]["properties"]["data"]["items"]
        assert set(row["properties"]) == set(table[0])
    assert house.get("/swagger.json?version=9", headers=headers).status_code == 404
