"""Who may do what: API keys, their roles, and how often a key may ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from fastapi import Depends, Request

from serve.errors import ProblemError

Role = Literal["score", "feedback", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


def require(role: Role) -> Any:
    """A dependency for a route or a router: the caller's key has this role, or `admin`, which may do everything.

    `APIRouter(dependencies=[require("feedback")])`. Without configured keys it lets everybody in. The key itself was
    checked before the body was read; `request.state.key` is the `Key`, or None without configured keys.

    Raises (while the request is handled):
        ProblemError: 403, the key lacks the role.
    """

    def check(request: Request) -> None:
        key = getattr(request.state, "key", None)
        if key is not None and role not in key.roles and "admin" not in key.roles:
            raise ProblemError(403, "forbidden", f"expected a key with the role {role}, found one without it")

    checked: Callable[[Request], None] = check
    return Depends(checked)
