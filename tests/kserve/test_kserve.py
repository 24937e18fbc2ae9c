"""KServe's own Python clients, REST and gRPC, unchanged."""

import asyncio

import kserve
import numpy
import pytest

MODEL = "cancer-logistic"


def request(rows):
    rows = numpy.asarray(rows, dtype=numpy.float32)
    tensor = kserve.InferInput(name="features", shape=list(rows.shape), datatype="FP32")
    return rows, tensor


def probabilities(response):
    output = next(output for output in response.outputs if output.name == "probabilities")
    return output.as_numpy().astype(numpy.float32).tobytes()


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
def test_the_rest_client_gets_the_same_bits_in_every_form(house, heldout, given, wanted):
    async def ask(given, wanted):
        config = kserve.RESTConfig(protocol="v2", verify=house.authority, timeout=30)
        client = kserve.InferenceRESTClient(config)
        base = house.url
        assert await client.is_server_live(base)
        assert await client.is_server_ready(base)
        assert await client.is_model_ready(base, MODEL, headers=house.headers)
        rows, tensor = request(heldout(MODEL)[:3])
        tensor.set_data_from_numpy(rows, binary_data=given)
        outputs = [
            kserve.protocol.infer_type.RequestedOutput(name, parameters={"binary_data": wanted})
            for name in ("label", "probabilities")
        ]
        asked = kserve.InferRequest(MODEL, [tensor], request_outputs=outputs, request_id="seven")
        answer = await client.infer(base, asked, model_name=MODEL, headers=house.headers)
        await client.close()
        assert answer.id == "seven"
        return probabilities(answer)

    assert asyncio.run(ask(given, wanted)) == asyncio.run(ask(False, False))


def test_the_grpc_client_gets_the_bits_of_rest(house, heldout):
    async def ask():
        with open(house.authority, "rb") as file:
            import grpc

            credentials = grpc.ssl_channel_credentials(file.read())
        client = kserve.InferenceGRPCClient(
            url=f"localhost:{house.port}", creds=credentials, use_ssl=True, timeout=30
        )
        headers = [("authorization", house.headers["Authorization"])]
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready(MODEL, headers=headers)
        rows, tensor = request(heldout(MODEL)[:3])
        tensor.set_data_from_numpy(rows, binary_data=True)
        asked = kserve.InferRequest(MODEL, [tensor], request_id="seven")
        answer = await client.infer(asked, headers=headers)
        await client.close()
        return probabilities(answer)

    rows = heldout(MODEL)[:3].tolist()
    reply = house.infer(MODEL, rows).json()
    output = next(output for output in reply["outputs"] if output["name"] == "probabilities")
    expected = numpy.array(output["data"], dtype=numpy.float32).tobytes()
    assert asyncio.run(ask()) == expected
