"""What a browser loads: `/` and `/docs`, from files of the package. They hold no data, so they need no key."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

PAGE = Path(__file__).parent / "page"

# What Windows has in its registry may make of a module something that no browser runs.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("image/svg+xml", ".svg")

# Nothing but this service's own files. On the page nothing may be made of text but text either: no inline style or
# script, and no way from a string to markup (trusted types).
_FRAME = "base-uri 'none'; frame-ancestors 'none'"
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    f"connect-src 'self'; form-action 'none'; {_FRAME}; require-trusted-types-for 'script'; trusted-types 'none'"
}
# The styles of Swagger UI are set by its script.
_DOCS_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data:; font-src data:; connect-src 'self'; {_FRAME}"
}

router = APIRouter(include_in_schema=False)


class Assets(StaticFiles):
    """The files that the two pages load."""

    def __init__(self) -> None:
        super().__init__(directory=PAGE)


@router.get("/docs")
async def docs() -> Response:
    return FileResponse(PAGE / "docs.html", headers=_DOCS_HEADERS)


@router.get("/")
async def root() -> Response:
    return FileResponse(PAGE / "index.html", headers=_PAGE_HEADERS)
