"""schemathesis against the API's own description."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

EXAMPLES_PER_OPERATION = 25


@pytest.fixture
def api(house):
    reply = house.get("/openapi.json")
    assert reply.status_code == 200, reply.text
    schema = schemathesis.openapi.from_dict(reply.json())
    schema.config.update(base_url=house.url)
    return schema


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES_PER_OPERATION, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_server_does_what_its_description_says(case, house):
    case.call_and_validate(headers=house.headers, verify=house.authority)
