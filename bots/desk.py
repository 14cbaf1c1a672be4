"""What adapters call on the service as long as they take events in themselves."""

from core.dispatch.service import ChatService
from core.domain.conversation import Incoming, Reply
from core.domain.permissions import Access


class ServiceDesk:
    """The service as the adapters see it."""

    def __init__(self, service: ChatService, access: Access) -> None:
        self._service = service
        self.access, self.rate = access, service.rate_limiter

    async def accept(self, incoming: Incoming) -> Reply | None:
        """See Ingest.accept."""
        return await self._service.ingest.accept(incoming)

    async def amend(self, incoming: Incoming) -> None:
        """See Ingest.amend."""
        await self._service.ingest.edit(incoming)

    def settle(self, platform: str) -> None:
        """See ChatService.settle."""
        self._service.settle(platform)

    async def leave(self, platform: str, chat: str) -> None:
        """See ChatService.leave."""
        await self._service.leave(platform, chat)
