"""Validates Kubernetes documents in YAML, from stdin, against the published schemas of the package
kubernetes-validate, and prints them as a JSON array. A field that the schema does not have is an
error. Ends with 77 where the package is not installed.
"""

import json
import sys

try:
    import kubernetes_validate
    import yaml
except ImportError as error:
    sys.exit(print(error, file=sys.stderr) or 77)


class Loader(yaml.SafeLoader):
    """Rejects a key that is there twice, as Kubernetes does."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    if len(keys) != len(set(keys)):
        raise yaml.constructor.ConstructorError(None, None, "a key is there twice", node.start_mark)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
documents = [document for document in yaml.load_all(sys.stdin, Loader) if document is not None]
for version in sys.argv[1:]:
    for document in documents:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            sys.exit(f"{document['kind']} {error.json_path} ({version}): {error.message}")
json.dump(documents, sys.stdout)
