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
from core.answering.guarded_assistant import GuardedAssistant, GuardUse
from core.checkpoints import Checkpoint
from core.dispatch.service import ChatService
from core.dispatch.timing import DEFAULT_TIMING, ServiceTiming
from core.domain.permissions import Access
from core.domain.settings import NO_LIMITS, Rules
from core.engine.engine import Engine
from core.filters import ContentFilter
from core.inbound.events import Adapter
from core.llm.guard_model import GuardModel, LocalGuardModel
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


Loadable = tuple[Checkpoint, Engine]
"""A model: its checkpoint, and the engine that loads it."""


async def talk_in_console(
    config: Config, options: Options, loadable: Loadable, guarding: Loadable | None, loaded: Callable[[], None]
) -> bool:
    """One console talk; whether every line came to a good end. `loaded` is called when the engines are ready."""
    from bots.console.adapter import LOCAL, PLATFORM  # noqa: PLC0415 (the bots do without prompt_toolkit)
    from bots.console.app import ConsoleSession, console_database  # noqa: PLC0415

    model, guard = local_model(config, *loadable), local_guard_model(config, guarding)
    terminal = ConsoleSession(config)
    async with console_database(config) as database, loadable[1]:
        if guard is not None:
            await guard.load()
        loaded()
        store = DatabaseStore(database)
        rules = replace(config.rules, limits=NO_LIMITS)  # the person at the terminal may ask without limits
        assistant = make_assistant(config, store, model, rules, guard)
        # The person at the terminal owns the machine. Lists of people on other platforms do not apply.
        access = Access(owners=frozenset({f"{PLATFORM}:{LOCAL}"}))
        timing = service_timing(config)
        service = ChatService(store, assistant, access, now=now_ms, name=config.bot_name, timing=timing)
        return await terminal.talk(store, service, model.name, options)


async def run_with_model(config: Config, loadable: Loadable, guarding: Loadable | None) -> None:
    """The bots around the model of an engine, until they are told to end, the engine fails, or the guard model can't
    be loaded."""
    model, guard, engine = local_model(config, *loadable), local_guard_model(config, guarding), loadable[1]
    if guard is None:
        await run_with_database(config, model, engine.failed)
        return

    async def load_guard() -> None:
        # One after another: each measures the machine, and counts the memory that is free.
        await engine.ready()
        await guard.load()
        await guard.watch()
        await asyncio.Event().wait()  # what happens to it later ends nothing

    await run_with_database(config, model, engine.failed, load_guard, guard=guard)


def local_model(config: Config, checkpoint: Checkpoint, engine: Engine) -> LocalModel:
    """The model as the core sees it. Raises SetupError for a tokenizer that can't be used."""
    return LocalModel(checkpoint, Tokenizer(checkpoint.folder, checkpoint.chat_template), engine, config.context)


def local_guard_model(config: Config, guarding: Loadable | None) -> LocalGuardModel | None:
    """The guard model as the core sees it. Raises SetupError for one that can't be used."""
    return LocalGuardModel(*guarding, config.guard_timeout) if guarding else None


def make_assistant(
    config: Config, store: DatabaseStore, model: Model, rules: Rules, guard: GuardModel | None
) -> Assistant:
    """What answers; without a guard model nothing of one is in the path of a question."""
    if guard is None:
        return Assistant(store, model, rules, ContentFilter(), config.bot_name)
    use = GuardUse(guard, required=config.guard_on_failure == "closed")
    return GuardedAssistant(store, model, rules, ContentFilter(), config.bot_name, use)


async def run_with_database(
    config: Config, model: Model, *fatal: Callable[[], Coroutine[Any, Any, None]], guard: GuardModel | None = None
) -> None:
    """A database and the bots around a model, until they are told to end or one of `fatal` does."""
    database_lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def until_database_lost() -> None:
        await database_lost

    with Shutdown() as shutdown:
        async with open_database(config.database, database_lost.set_exception) as database:
            shutdown.handle_signals()  # until here there is nothing to complete
            await shutdown.run_until_first(
                run_adapters(config, DatabaseStore(database), model, guard, shutdown),
                until_database_lost(),
                *(wait() for wait in fatal),
            )


async def run_adapters(
    config: Config, store: DatabaseStore, model: Model, guard: GuardModel | None, shutdown: Shutdown
) -> None:
    """Every adapter that has a token, around one service. After a shutdown is requested nothing more is taken in, and
    what is in progress is completed."""
    assistant = make_assistant(config, store, model, config.rules, guard)
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
