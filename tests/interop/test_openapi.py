"""schemathesis against the API's own description."""

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import ignored_auth

EXAMPLES_PER_OPERATION = 25


def test_the_server_does_what_its_description_says(house):
    reply = house.get("/openapi.json")
    assert reply.status_code == 200, reply.text
    schema = schemathesis.openapi.from_dict(reply.json())
    n_operations = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES_PER_OPERATION, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def try_out(case):
            case.call_and_validate(
                base_url=house.url, headers=house.headers, verify=house.authority,
                # Bad keys are `test_access`'s matter; here they would be throttled.
                excluded_checks=[ignored_auth],
            )

        try_out()
        n_operations += 1
    assert n_operations >= 8, f"only {n_operations} operations are described"
