from __future__ import annotations

import re
from typing import Any

import pytest

from serve.pages import PAGE

pytestmark = pytest.mark.anyio

OWN = [path for path in sorted(PAGE.iterdir()) if path.suffix in (".js", ".css", ".html", ".svg")]
OWN = [path for path in OWN if not path.name.startswith("swagger-ui")]


async def test_pages_root_is_the_page_and_trusts_only_its_own_files(connect: Any, fake: Any) -> None:
    async with connect(fake, ready=False) as client:
        response = await client.get("/")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        policy = response.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "http" not in policy
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
        assert rules["require-trusted-types-for"] == "'script'"
        links = re.findall(r'(?:src|href)="([^"#]+)"', response.text)
        assert len(links) >= 5
        for link in links:
            assert (await client.get(f"/{link}")).status_code == 200


async def test_pages_modules_are_served_as_such_and_asked_for_again(connect: Any, fake: Any) -> None:
    async with connect(fake, ready=False) as client:
        for path in OWN:
            response = await client.get(f"/page/{path.name}")
            kind = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
            assert response.headers["content-type"].startswith(kind[path.suffix])
            assert response.headers["cache-control"] == "no-cache"
            again = await client.get(f"/page/{path.name}", headers={"If-None-Match": response.headers["etag"]})
            assert again.status_code == 304
        assert (await client.get("/page/../app.py")).status_code == 404
        assert (await client.get("/page/%2e%2e/app.py")).status_code == 404


def test_pages_import_only_what_is_there_and_ask_nobody_else() -> None:
    assert len(OWN) > 15
    for path in OWN:
        text = path.read_text("utf-8")
        for name in re.findall(r'from "\./([\w.]+)"', text):
            assert (PAGE / name).is_file()
        assert set(re.findall(r"https?://[^\s\"'<>)]*", text)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
        assert " style=" not in text
        assert path.name == "docs.html" or not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=\"", text)
