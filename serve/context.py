"""What the routes of one worker process share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from serve.metrics import Metrics
from serve.queue import AnalyzerLike, Worker
from serve.reload import Reloader
from serve.security import Gate
from serve.settings import Settings
from serve.store import Store

if TYPE_CHECKING:
    from serve.jobs import Jobs
    from serve.webhook import Webhook


@dataclass
class Service:
    """Kept as `app.state.service`; a route asks for it with a parameter `service: Context`."""

    settings: Settings
    worker: Worker
    metrics: Metrics
    gate: Gate
    reloader: Reloader
    # Opened before the first request.
    store: Store = field(init=False)
    jobs: Jobs = field(init=False)
    webhook: Webhook | None = None
    draining: bool = False  # told to stop, and still answering for a while

    @property
    def analyzer(self) -> AnalyzerLike:
        """The one in use now; a reload puts another in its place, so ask again for every request.

        Raises:
            UnavailableError: it is not loaded and warm, or the service is stopping. Answered with 503.
        """
        return self.worker.analyzer


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Context = Annotated[Service, Depends(_service)]
