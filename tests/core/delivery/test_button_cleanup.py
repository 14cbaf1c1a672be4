"""The answer before the last one loses its buttons, unless it is the last one again by then."""

import asyncio
from dataclasses import replace

from core.delivery.button_cleanup import ButtonCleanup
from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.conversation import Chunk, Reply
from core.domain.platform import NO_CONTROLS, ButtonAction, Controls
from core.domain.reply_states import Lane, State
from tests.fakes import ANN, CHAT, FakePlatform

CONTROLS = Controls((ButtonAction.RETRY,))
FIRST = Reply(1, CHAT, True, 1, Lane.ANSWER, State.DONE, 1, ANN, "hi", "bot", "m:1", 1, question=11)
FIRST = replace(FIRST, chunks=(Chunk("a", "7"),))
SECOND = replace(FIRST, id=2, question=12, chunks=(Chunk("b", "8"),))


class Cleaning:
    """A cleanup of the first answer's buttons, which has to wait for its turn."""

    def __init__(self) -> None:
        self.platform, self.limiter = FakePlatform(), ChatRateLimiter()
        self.cleanup = ButtonCleanup({"fake": self.platform}, self.limiter)
        self.channel = self.platform.channel(FIRST)
        self.channel.controls["7"] = CONTROLS

    async def remove(self, *deleted: int, reply: Reply = SECOND) -> Controls:
        """The buttons of the first answer afterwards. `deleted`: questions that are undone meanwhile."""
        self.limiter.hold(self.channel.key, 0.01)
        removing = asyncio.create_task(self.cleanup.remove_earlier_buttons(reply, FIRST))
        await asyncio.sleep(0)
        for question in deleted:
            self.cleanup.note_deleted(question)
        await removing
        return self.channel.controls["7"]


async def test_the_answer_before_loses_its_buttons() -> None:
    assert await Cleaning().remove() == NO_CONTROLS


async def test_the_answer_that_is_the_last_one_again_keeps_them() -> None:
    assert await Cleaning().remove(12) == CONTROLS


async def test_an_answer_that_is_deleted_itself_loses_them() -> None:
    assert await Cleaning().remove(12, 11) == NO_CONTROLS
    assert await Cleaning().remove(99) == NO_CONTROLS


async def test_an_answer_that_is_shown_in_the_same_message_keeps_them() -> None:
    assert await Cleaning().remove(reply=replace(SECOND, chunks=FIRST.chunks)) == CONTROLS
