"""Rendered templates against the official ARM schemas, which forbid no unknown property: names
are checked against them as well."""

import json

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

COMMON = "https://schema.management.azure.com/schemas/common/definitions.json"
SCHEMAS = {
    "Microsoft.ContainerService/managedClusters": (
        "2026-05-01.Microsoft.ContainerService.Aks.json", "managedClusters"
    ),
    "Microsoft.MachineLearningServices/workspaces/computes": (
        "2026-05-01.Microsoft.MachineLearningServices.json", "workspaces_computes"
    ),
}


@pytest.fixture(scope="session")
def schemas(shared):
    folder = shared / "arm-schemas"
    common = json.loads((folder / "common.definitions.json").read_text())
    registry = Registry().with_resource(COMMON, Resource(contents=common, specification=DRAFT4))
    found = {}
    for kind, (name, definition) in SCHEMAS.items():
        schema = json.loads((folder / name).read_text())
        uri = f"urn:{name}"
        schema["id"] = uri
        mend(schema)
        resource = Resource(contents=schema, specification=DRAFT4)
        whole = registry.with_resource(uri, resource)
        reference = {"$ref": f"{uri}#/resourceDefinitions/{definition}"}
        found[kind] = (
            jsonschema.Draft4Validator(reference, registry=whole), schema, definition
        )
    return found


def mend(schema):
    """The official schema of computes contradicts itself: each kind of compute has `properties`,
    and the part that all share forbids every name that it does not list, `properties` among them,
    so that no compute at all is valid. The part then need not be closed."""
    compute = schema["definitions"].get("Compute")
    if compute:
        shared_part = compute["allOf"][0]
        assert shared_part["additionalProperties"] is False, "mended upstream: drop this"
        assert "properties" not in shared_part["properties"], "mended upstream: drop this"
        del shared_part["additionalProperties"]


def resources(template):
    """Resources of a template and of its nested deployments."""
    for resource in template["resources"]:
        inner = resource.get("properties", {}).get("template")
        if inner:
            yield from resources(inner)
        else:
            yield resource


def unknown_names(value, node, schema, path=""):
    """Names in `value` that no alternative of the schema node knows."""
    alternatives, todo = [], [node]
    while todo:
        one = todo.pop()
        if "$ref" in one:
            reference = one["$ref"]
            if reference.startswith("#/definitions/"):
                todo.append(schema["definitions"][reference.rsplit("/", 1)[1]])
            continue
        alternatives.append(one)
        for key in ("oneOf", "anyOf", "allOf"):
            todo.extend(one.get(key, []))
    if isinstance(value, list):
        items = [one["items"] for one in alternatives if "items" in one]
        for index, item in enumerate(value):
            for one in items:
                yield from unknown_names(item, one, schema, f"{path}[{index}]")
    if isinstance(value, dict):
        tables = [one for one in alternatives if "properties" in one]
        is_open = any(one.get("additionalProperties") for one in alternatives)
        for key, below in value.items():
            known = [one["properties"][key] for one in tables if key in one["properties"]]
            if tables and not known and not is_open:
                yield f"{path}.{key}"
            if len(known) == 1:
                yield from unknown_names(below, known[0], schema, f"{path}.{key}")


def test_templates_validate_against_the_official_schemas(rendered, schemas):
    template = json.loads((rendered / "arm" / "main.json").read_text())
    n_checked = 0
    for resource in resources(template):
        if resource["type"] not in schemas:
            continue
        validator, schema, definition = schemas[resource["type"]]
        errors = [error.message for error in validator.iter_errors(resource)]
        assert not errors, errors
        bare = {key: value for key, value in resource.items() if key != "dependsOn"}
        unknown = list(unknown_names(bare, schema["resourceDefinitions"][definition], schema))
        assert unknown == []
        n_checked += 1
    assert n_checked > 0


def test_the_schema_check_catches_what_it_should(shared, schemas, tmp_path):
    """Both halves fail on a wrong value and on a misspelt name."""
    validator, schema, definition = schemas["Microsoft.ContainerService/managedClusters"]
    wrong = {
        "type": "Microsoft.ContainerService/managedClusters", "apiVersion": "2026-05-01",
        "name": "x", "properties": {"networkProfile": {"networkPlugin": "antrea"}},
    }
    assert list(validator.iter_errors(wrong))
    misspelt = {"properties": {"apiServerAccessProfile": {"enablePrivateCluter": True}}}
    node = schema["resourceDefinitions"][definition]
    assert list(unknown_names(misspelt, node, schema)) == [
        ".properties.apiServerAccessProfile.enablePrivateCluter"
    ]


def test_every_resource_named_in_dependencies_is_there(rendered):
    """A `dependsOn` that names nothing fails only in Azure, minutes later."""
    template = json.loads((rendered / "arm" / "main.json").read_text())

    def walk(part):
        kinds = {}
        for resource in part["resources"]:
            kinds.setdefault(resource["type"], set()).add(resource["name"])
        for resource in part["resources"]:
            for dependency in resource.get("dependsOn", []):
                assert any(
                    f"'{kind}'" in dependency
                    and any(f"'{name.split('/')[-1]}'" in dependency for name in names)
                    for kind, names in kinds.items()
                ), (resource["name"], dependency)
            inner = resource.get("properties", {}).get("template")
            if inner:
                walk(inner)

    walk(template)


def test_parameters_that_are_used_are_declared(rendered):
    text = (rendered / "arm" / "main.json").read_text()
    declared = set(json.loads(text)["parameters"])
    used = {part.split("'")[0] for part in text.split("parameters('")[1:]}
    assert used == declared
