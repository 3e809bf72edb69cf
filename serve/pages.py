"""What a browser loads: `/` and `/docs`, from files of the package. They hold no data, so they need no key."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, RedirectResponse, Response

PAGE = Path(__file__).parent / "page"

# Nothing but this service's own files; the styles of Swagger UI are set by its script.
_DOCS_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    return FileResponse(PAGE / "docs.html", headers=_DOCS_HEADERS)


@router.get("/")
async def root() -> Response:
    return RedirectResponse("docs")
