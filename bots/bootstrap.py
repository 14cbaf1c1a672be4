"""The composition root: configuration -> store, model, service, adapters. The only file that sees everything."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from bots.config import Config
from bots.console.options import Options
from bots.discord_bot.timing import DISCORD_TIMING, DiscordTiming
from bots.shutdown import DRAIN_TIMEOUT_S, Shutdown
from bots.telegram_bot.timing import TELEGRAM_TIMING, TelegramTiming
from core.answering.assistant import Assistant
from core.checkpoints import Checkpoint
from core.dispatch.service import ChatService
from core.dispatch.timing import DEFAULT_TIMING, ServiceTiming
from core.domain.permissions import Access
from core.domain.settings import NO_LIMITS
from core.engine.engine import Engine
from core.filters import ContentFilter
from core.inbound.events import Adapter
from core.llm.model import LocalModel, Model
from core.llm.tokenizer import Tokenizer
from storage.database import open_database
from storage.store import DatabaseStore, now_ms


@dataclass(frozen=True, slots=True)
class Timing:
    """All times that the bots keep to, so that trials can hand in smaller ones."""

    service: ServiceTiming = DEFAULT_TIMING
    telegram: TelegramTiming = TELEGRAM_TIMING
    discord: DiscordTiming = DISCORD_TIMING


TIMING = Timing()


def service_timing(config: Config) -> ServiceTiming:
    """The service's times, with what the deployment has set."""
    return replace(TIMING.service, kept_days=config.bookkeeping_days)


async def talk_in_console(
    config: Config, options: Options, checkpoint: Checkpoint, engine: Engine, loaded: Callable[[], None]
) -> bool:
    """One console talk; whether every line came to a good end. `loaded` is called when the engine is ready."""
    from bots.console.adapter import LOCAL, PLATFORM  # noqa: PLC0415 (the bots do without prompt_toolkit)
    from bots.console.app import ConsoleSession, console_database  # noqa: PLC0415

    model = local_model(config, checkpoint, engine)
    terminal = ConsoleSession(config)
    async with console_database(config) as database, engine:
        loaded()
        store = DatabaseStore(database)
        rules = replace(config.rules, limits=NO_LIMITS)  # the person at the terminal may ask without limits
        assistant = Assistant(store, model, rules, ContentFilter(), config.bot_name)
        # The person at the terminal owns the machine. Lists of people on other platforms do not apply.
        access = Access(owners=frozenset({f"{PLATFORM}:{LOCAL}"}))
        timing = service_timing(config)
        service = ChatService(store, assistant, access, now=now_ms, name=config.bot_name, timing=timing)
        return await terminal.talk(store, service, model.name, options)


async def run_with_model(config: Config, checkpoint: Checkpoint, engine: Engine) -> None:
    """The bots around the model of an engine, until they are told to end or the engine fails."""
    await run_with_database(config, local_model(config, checkpoint, engine), engine.failed)


def local_model(config: Config, checkpoint: Checkpoint, engine: Engine) -> LocalModel:
    """The model as the core sees it. Raises SetupError for a tokenizer that can't be used."""
    return LocalModel(checkpoint, Tokenizer(checkpoint.folder, checkpoint.chat_template), engine, config.context)


async def run_with_database(config: Config, model: Model, *fatal: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A database and the bots around a model, until they are told to end or one of `fatal` does."""
    database_lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def until_database_lost() -> None:
        await database_lost

    with Shutdown() as shutdown:
        async with open_database(config.database, database_lost.set_exception) as database:
            shutdown.handle_signals()  # until here there is nothing to complete
            await shutdown.run_until_first(
                run_adapters(config, DatabaseStore(database), model, shutdown),
                until_database_lost(),
                *(wait() for wait in fatal),
            )


async def run_adapters(config: Config, store: DatabaseStore, model: Model, shutdown: Shutdown) -> None:
    """Every adapter that has a token, around one service. After a shutdown is requested nothing more is taken in, and
    what is in progress is completed."""
    assistant = Assistant(store, model, config.rules, ContentFilter(), config.bot_name)
    timing = service_timing(config)
    service = ChatService(store, assistant, config.access, now=now_ms, name=config.bot_name, timing=timing)

    async with AsyncExitStack() as connections:  # left last: what is being shown still needs them

        async def run_adapter(adapter: Adapter) -> None:
            await connections.enter_async_context(adapter.connected())
            await service.serve(adapter)
            await asyncio.create_task(service.events.run(adapter))  # so that events resume no frame of the start
            raise RuntimeError(f"{adapter.name} has ended")

        async with service.running():
            await shutdown.run_until_first(
                shutdown.requested.wait(), *(run_adapter(adapter) for adapter in adapters(config, store, service))
            )
            await service.drain(DRAIN_TIMEOUT_S)


def adapters(config: Config, store: DatabaseStore, service: ChatService) -> Iterator[Adapter]:
    """Those that have a token. Their libraries are imported here: the console need not wait for them."""
    if config.telegram_token:
        from bots.telegram_bot.adapter import TelegramBot  # noqa: PLC0415
        from bots.telegram_bot.button_handler import PressServices  # noqa: PLC0415

        yield TelegramBot(
            config.telegram_token.get_secret_value(),
            config.telegram_api_url,
            PressServices(service.rate_limiter, service.languages, service.buttons.settings),
            drafts=config.telegram_drafts,
            rich=config.telegram_rich,
            timing=TIMING.telegram,
        )
    if config.discord_token:
        from bots.discord_bot.adapter import DiscordBot, Endpoints  # noqa: PLC0415

        endpoints = Endpoints(config.discord_api_url, config.discord_gateway_url)
        token = config.discord_token.get_secret_value()
        yield DiscordBot(token, endpoints, store, service.languages, timing=TIMING.discord)
