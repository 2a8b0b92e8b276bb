"""Holds deploy/kubernetes/ against the schemas of Kubernetes and of KEDA, strictly: a key that is in no schema is an
error. Then breaks the same manifests one by one, and demands that each is noticed. Run by scripts/manifests.sh."""

import copy
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = "1.37"


def strict(schema):
    """The API server drops unknown keys without a word; a manifest that relies on one does not do what it says."""
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    return schema


def keda_schemas():
    schemas = {}
    for file in sorted((ROOT / "tests/kubernetes/keda").glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())["spec"]
        for version in definition["versions"]:
            kind = (f"{definition['group']}/{version['name']}", definition["names"]["kind"])
            schemas[kind] = strict(version["schema"]["openAPIV3Schema"])
    return schemas


KEDA = keda_schemas()


def finding(manifest):
    """What is wrong with a manifest, or None."""
    kind = (manifest.get("apiVersion"), manifest.get("kind"))
    try:
        if kind in KEDA:
            jsonschema.Draft4Validator(KEDA[kind]).validate(manifest)
        else:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return error.message
    except jsonschema.ValidationError as error:
        return f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return error.message
    return None


def manifests():
    found = {}
    for file in sorted((ROOT / "deploy/kubernetes").glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            found[manifest["kind"]] = (file, manifest)
    return found


def with_change(manifest, path, value):
    changed = copy.deepcopy(manifest)
    place = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


POD = ("spec", "template", "spec")
BREAKS = [
    ("Deployment", ("apiVersion",), "apps/v9"),
    ("Deployment", (*POD, "terminationGracePeriodSeconds"), "45s"),
    ("Deployment", (*POD, "gracePeriod"), 45),
    ("Deployment", (*POD, "containers", 0, "imagePullPolcy"), "Always"),
    ("ConfigMap", ("data", "mailq.toml"), 1),
    ("Secret", ("stringdata",), {}),
    ("ScaledObject", ("spec", "maxReplicas"), 12),
    ("ScaledObject", ("spec", "maxReplicaCount"), "twelve"),
    ("ScaledObject", ("spec", "triggers", 0, "metadata", "lagThreshold"), 20),
    ("TriggerAuthentication", ("spec", "secretTargetRef", 0, "secret"), "mailq"),
]


def main():
    found = manifests()
    failed = False
    for file, manifest in found.values():
        wrong = finding(manifest)
        failed = failed or wrong is not None
        print(f"{file.relative_to(ROOT)}: {manifest['kind']}: {wrong or 'valid'}")
    for kind, path, value in BREAKS:
        if finding(with_change(found[kind][1], path, value)) is None:
            failed = True
            print(f"not noticed: {kind} with {'.'.join(str(part) for part in path)} = {value!r}")
    # Leaves in-flight mail its 25 seconds, and the rebalance its ten.
    grace = found["Deployment"][1]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    if grace < 45:
        failed = True
        print(f"the grace period of {grace} s is too short for a clean stop")
    print(f"{len(BREAKS)} planted errors")
    sys.exit(1 if failed else 0)


main()
