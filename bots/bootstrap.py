"""The composition root: configuration -> store, model, service, adapters. The only file that sees everything."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bots.config import Config
from bots.console.adapter import LOCAL, PLATFORM
from bots.console.app import ConsoleSession, Options, console_database
from bots.discord_bot.timing import DISCORD_TIMING, DiscordTiming
from bots.logging_setup import set_up_logging
from bots.progress import Steps, bars
from bots.shutdown import DRAIN_TIMEOUT_S, Shutdown
from bots.telegram_bot.timing import TELEGRAM_TIMING, TelegramTiming
from core.answering.assistant import Assistant
from core.checkpoints import BUILTIN, DEFAULT_MODEL, Checkpoint, HubUnreachable, open_checkpoint
from core.checkpoints.builtin import builtin_file
from core.dispatch.service import ChatService
from core.dispatch.timing import DEFAULT_TIMING, ServiceTiming
from core.domain.errors import SetupError
from core.domain.permissions import Access
from core.domain.settings import NO_LIMITS
from core.engine.engine import Engine
from core.engine.loader import Loader
from core.engine.worker_process import ProcessHost
from core.filters import ContentFilter
from core.inbound.events import Adapter
from core.llm.model import LocalModel, Model
from core.llm.tokenizer import Tokenizer
from core.runtime.safe_traceback import safe_traceback
from storage.database import open_database
from storage.store import DatabaseStore, now_ms

log = logging.getLogger(__name__)

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Timing:
    """All times that the bots keep to, so that trials can hand in smaller ones."""

    service: ServiceTiming = DEFAULT_TIMING
    telegram: TelegramTiming = TELEGRAM_TIMING
    discord: DiscordTiming = DISCORD_TIMING


TIMING = Timing()


def run_console(config: Config, options: Options) -> int:
    """Run the console until its end. Returns the exit code: 1 where a line came to no good end."""
    set_up_logging("WARNING" if config.log_level == "INFO" else config.log_level, config.secrets)
    errors = Console(stderr=True)
    make_folder(config.data_dir)
    checkpoint = find_checkpoint(config, errors)
    return 0 if asyncio.run(talk_in_console(config, options, checkpoint, errors)) else 1


def run_bots(config: Config) -> int:
    """Run the bots until SIGTERM or Ctrl-C. Returns the exit code: 1 after an error that nothing can go on after."""
    set_up_logging(config.log_level, config.secrets)
    make_folder(config.data_dir)
    try:
        with bars(Console(stderr=True)) as progress:
            checkpoint = open_checkpoint(config.model, cache=config.model_cache, progress=progress)
    except HubUnreachable as error:
        raise SetupError(
            f"{error} A bot does not start with another model than yours: connect once to load it, or name a folder, "
            "a .gguf file, or MODEL=builtin (small, for trying out)."
        ) from error
    try:
        asyncio.run(run_with_engine(config, checkpoint))
    except SetupError:
        raise
    except Exception as error:
        log.critical("the bot can't go on\n%s", safe_traceback(error))
        return 1
    return 0


def make_folder(folder: Path) -> None:
    """The data folder, where there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"DATA_DIR {folder} can't be made: {error.strerror}. Name another folder.") from error


def find_checkpoint(config: Config, errors: Console) -> Checkpoint:
    """The model to talk with. The default one gives way to the built-in one where it can't be had or takes too long."""
    try:
        with bars(errors) as progress:
            if config.model == DEFAULT_MODEL and not missing_builtin():
                progress.note("Ctrl-C: talk with the small built-in model instead")
            return open_checkpoint(config.model, cache=config.model_cache, progress=progress)
    except HubUnreachable:
        if config.model != DEFAULT_MODEL:
            raise
        reason = "the model hub can't be reached"
    except KeyboardInterrupt:
        if config.model != DEFAULT_MODEL:
            raise
        reason = "the download was interrupted"
    name = DEFAULT_MODEL.partition("@")[0]
    if missing := missing_builtin():
        raise SetupError(f"{name}: {reason}, and {missing}, or name a folder or a .gguf file with --model")
    errors.print(f"{name}: {reason}; talking with the small built-in model.", style="yellow")
    with bars(errors) as progress:
        return open_checkpoint(BUILTIN, cache=config.model_cache, progress=progress)


def missing_builtin() -> str:
    """Why the built-in model can't be used, and how to install it; "" where it can."""
    try:
        builtin_file()
    except SetupError as error:
        return str(error)
    return ""


def loader(config: Config, checkpoint: Checkpoint) -> Loader:
    """What the engine loads, and how, as the owner wants it."""
    return Loader(
        checkpoint.folder,
        weights=config.weights,
        threads=config.threads,
        context=config.context,
        kv_bytes=config.kv_cache * MIB if config.kv_cache else None,
        cache=config.model_cache,
    )


async def talk_in_console(config: Config, options: Options, checkpoint: Checkpoint, errors: Console) -> bool:
    """One console talk; whether every line came to a good end. The engine loads while the rest gets ready."""
    steps = Steps(errors)
    engine = Engine(ProcessHost(loader(config, checkpoint), config.nice), steps)
    engine.launch()
    try:
        tokenizer = Tokenizer(checkpoint.folder, checkpoint.chat_template)
        model = LocalModel(checkpoint, tokenizer, engine, config.context)
        terminal = ConsoleSession(config)
        async with console_database(config) as database, engine:
            steps.end()
            store = DatabaseStore(database)
            rules = replace(config.rules, limits=NO_LIMITS)  # the person at the terminal may ask without limits
            assistant = Assistant(store, model, rules, ContentFilter())
            # The person at the terminal owns the machine. Lists of people on other platforms do not apply.
            access = Access(owners=frozenset({f"{PLATFORM}:{LOCAL}"}))
            service = ChatService(store, assistant, access, now=now_ms, name=config.bot_name, timing=TIMING.service)
            return await terminal.talk(store, service, model.name, options)
    finally:
        steps.end()
        await engine.close()


async def run_with_engine(config: Config, checkpoint: Checkpoint) -> None:
    """The bots with the engine. Messages are taken in while it still loads."""
    engine = Engine(ProcessHost(loader(config, checkpoint), config.nice))
    engine.launch()
    try:
        tokenizer = Tokenizer(checkpoint.folder, checkpoint.chat_template)
        await run_with_database(config, LocalModel(checkpoint, tokenizer, engine, config.context), engine.failed)
    finally:
        await engine.close()


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
    assistant = Assistant(store, model, config.rules, ContentFilter())
    service = ChatService(store, assistant, config.access, now=now_ms, name=config.bot_name, timing=TIMING.service)

    async with AsyncExitStack() as connections:  # left last: what is being shown still needs them

        async def run_adapter(adapter: Adapter) -> None:
            await connections.enter_async_context(adapter.connected())
            await service.serve(adapter)
            await service.events.run(adapter)
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
            timing=TIMING.telegram,
        )
    if config.discord_token:
        from bots.discord_bot.adapter import DiscordBot, Endpoints  # noqa: PLC0415

        endpoints = Endpoints(config.discord_api_url, config.discord_gateway_url)
        token = config.discord_token.get_secret_value()
        yield DiscordBot(token, endpoints, store, service.languages, timing=TIMING.discord)
