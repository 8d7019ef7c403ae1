"""The control API's description, and whether what was asked and answered is as it says."""

import json
from typing import Any
from urllib.parse import unquote, urlsplit

from jsonschema import Draft202012Validator

from emulator.control.server import DESCRIPTION

DOCUMENT: dict[str, Any] = json.loads(DESCRIPTION.read_bytes())
PATHS: dict[str, Any] = DOCUMENT["paths"]
METHODS = frozenset({"get", "put", "post", "patch", "delete"})
REFUSED_AS_SUCH = frozenset({403, 404, 405})
"""What may be asked of nobody: such a request need not be described."""


def operations() -> set[tuple[str, str]]:
    """Return what is described: methods and path templates."""
    return {(method.upper(), path) for path, item in PATHS.items() for method in METHODS & item.keys()}


def template_of(path: str) -> str | None:
    """Return the template that a path is of; one with more words of its own first."""
    parts = path.split("/")
    for template in sorted(PATHS, key=lambda template: [part[:1] == "{" for part in template.split("/")]):
        wanted = template.split("/")
        if len(parts) == len(wanted) and all(
            part if want[:1] == "{" else unquote(part) == want
            for part, want in zip(parts, wanted, strict=True)
        ):
            return template
    return None


def check(schema: dict[str, Any], value: Any, what: str) -> None:
    """Hold a value against a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    errors = [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)
    ]
    assert not errors, f"{what} is not as openapi.json says: {'; '.join(errors)[:1000]}"


def hold(method: str, url: str, kind: str, body: bytes | None, status: int, answer: bytes) -> None:
    """Hold a request and its answer against the description."""
    path = urlsplit(url).path
    what, template = f"{method} {path} -> {status}", template_of(path)
    value = json.loads(answer)
    operation = PATHS[template].get(method.lower()) if template else None
    if operation is None:
        assert status in REFUSED_AS_SUCH, f"{what}: openapi.json does not have it"
    if status != 200 or operation is None:
        refused = DOCUMENT["components"]["responses"]["Refused"]
        check(refused["content"]["application/json"]["schema"], value, what)
        return
    check(operation["responses"]["200"]["content"]["application/json"]["schema"], value, what)
    taken = operation.get("requestBody", {"required": False, "content": {}})
    if not body:
        assert not taken["required"], f"{what}: a body is required"
    elif taken["content"]:
        schema = taken["content"][kind]["schema"]
        check(schema, json.loads(body) if kind == "application/json" else body.decode(), f"{what}, its body")
