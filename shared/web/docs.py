"""The plain pages about an API: `/openapi.json`, `/docs`, `/asyncapi.json`.

Called by `make_app`. The reading page is rendered here from the schema, without scripts, so that it works offline and under the same
content policy as every other page.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from litestar import MediaType, Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

from shared.web.problems import PROBLEM_JSON, Problem

STYLE_PATH = "/docs.css"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d8dee5; }
article { margin: .75rem 0; padding: .5rem .75rem; border: 1px solid #d8dee5; border-radius: 6px; }
code, pre { font: 14px/1.5 ui-monospace, monospace; } pre { margin: .25rem 0; white-space: pre-wrap; }
b { display: inline-block; min-width: 4.5rem; color: #0b5cad; } p { margin: .25rem 0; } small { color: #55616e; }
@media (prefers-color-scheme: dark) { body { color: #dfe6ee; background: #14191f; } article, h2 { border-color: #33404d; } b { color: #7db7f0; } small { color: #9aa7b4; } }
"""  # noqa: E501 - a style sheet


class ReadingPage(OpenAPIRenderPlugin):
    """The schema as one page to read: each address with its method, what it is for, what it takes and what it answers."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Called by Litestar for `GET /docs`."""
        return reading_page(openapi_schema).encode()


def with_problems(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the answers that every operation may give when it says no: RFC 9457 problems."""
    schema.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema(
        ref_template="#/components/schemas/Problem/$defs/{model}"
    )
    problem = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in schema.get("paths", {}).values():
        for operation in operations.values():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")):
                    answer["content"] = problem
            operation["responses"]["default"] = {"description": "A problem; `code` says which", "content": problem}
    return schema


def reading_page(schema: Mapping[str, Any]) -> str:
    """An HTML page for an OpenAPI 3.1 schema; everything in it is escaped."""
    title = escape(str(schema["info"]["title"]))
    sections: dict[str, list[str]] = {}
    for path, operations in sorted(schema.get("paths", {}).items()):
        group = "/".join(path.split("/")[:3]) or "/"
        for method, operation in operations.items():
            if isinstance(operation, Mapping) and "responses" in operation:
                sections.setdefault(group, []).append(_operation(path, method, operation))
    body = "".join(f"<h2>{escape(group)}</h2>{''.join(items)}" for group, items in sections.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{title}</title><link rel="stylesheet" href="{STYLE_PATH}"></head><body><h1>{title}</h1>'
        f'<p>For programs: <a href="/openapi.json">openapi.json</a>, <a href="/asyncapi.json">asyncapi.json</a>.</p>{body}</body></html>'
    )


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parameters = ", ".join(f"{p['name']} ({p['in']})" for p in operation.get("parameters", []) if isinstance(p, Mapping) and "name" in p)
    body = ", ".join(_name(media.get("schema", {})) for media in operation.get("requestBody", {}).get("content", {}).values())
    answers = ", ".join(sorted(operation["responses"]))
    about = operation.get("description") or operation.get("summary") or ""
    lines = [f"<b>{escape(method.upper())}</b> <code>{escape(path)}</code>", f"<p>{escape(str(about))}</p>" if about else ""]
    lines += [
        f"<small>{label}: {escape(text)}</small><br>"
        for label, text in (("takes", parameters), ("body", body), ("answers", answers))
        if text
    ]
    return f"<article>{''.join(lines)}</article>"


def _name(schema: Mapping[str, Any]) -> str:
    reference = str(schema.get("$ref", ""))
    return re.sub(r"^.*[/.]", "", reference) or str(schema.get("type", "any"))
