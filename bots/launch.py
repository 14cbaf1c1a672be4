"""From a configuration to an engine that loads its model. The rest is imported while it loads."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from bots.config import ENV_FILES, Config, read_config
from bots.console.options import Options, parse_options
from bots.logging_setup import set_up_logging
from bots.private_files import make_private_folder
from bots.progress import Steps, bars
from core.checkpoints import BUILTIN, DEFAULT_MODEL, Checkpoint, HubUnreachable, Progress, open_checkpoint
from core.checkpoints.builtin import builtin_file
from core.domain.errors import SetupError
from core.engine.engine import Engine
from core.engine.loader import Loader
from core.engine.options import Report
from core.engine.worker_process import ProcessHost
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

MIB = 2**20
GUARD_PROCESS_NAME = "qwentin-guard"
GUARD_PROMPT_IDS = 1024
"""Room for a guard model's own instructions, beside a question. Qwen3Guard's are about 300 ids."""


def run() -> int:
    """Run the adapters that have a token; with none, the console. Returns the exit code."""
    config = read_config()
    return run_bots(config) if config.telegram_token or config.discord_token else talk(config, Options())


def run_console(model: str | None, options: Sequence[str], system: str | None, *, resume: bool) -> int:
    """Run the console with what the command line asks for; `model` replaces the configured one. Returns the exit code.

    Raises SetupError with one line for each mistake.
    """
    config = read_config()
    if model is not None:
        config = config.model_copy(update={"model": model})
    return talk(config, parse_options(options, system, resume))


def talk(config: Config, options: Options) -> int:
    """Run the console until its end. Returns the exit code: 1 where a line came to no good end."""
    set_up_logging("WARNING" if config.log_level == "INFO" else config.log_level, config.secrets)
    errors = Console(stderr=True)
    make_private_folder(config.data_dir, ENV_FILES)
    checkpoint = find_checkpoint(config, errors)
    with bars(errors) as progress:
        guard = open_guard_checkpoint(config, progress)
    return 0 if asyncio.run(talk_with_engine(config, options, (checkpoint, guard), errors)) else 1


def run_bots(config: Config) -> int:
    """Run the bots until SIGTERM or Ctrl-C. Returns the exit code: 1 after an error that nothing can go on after."""
    set_up_logging(config.log_level, config.secrets)
    make_private_folder(config.data_dir, ENV_FILES)
    try:
        with bars(Console(stderr=True)) as progress:
            checkpoint = open_checkpoint(config.model, cache=config.model_cache, progress=progress)
            guard = open_guard_checkpoint(config, progress)
    except HubUnreachable as error:
        raise SetupError(
            f"{error} A bot does not start with another model than yours: connect once to load it, or name a folder, "
            "a .gguf file, or MODEL=builtin (small, for trying out)."
        ) from error
    try:
        asyncio.run(run_with_engine(config, checkpoint, guard))
    except SetupError:
        raise
    except Exception as error:
        log.critical("the bot can't go on\n%s", safe_traceback(error))
        return 1
    return 0


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


def open_guard_checkpoint(config: Config, progress: Progress) -> Checkpoint | None:
    """The guard model's, downloaded or converted first where need be; None where the owner wants none.

    Raises SetupError where it can't be had: nothing starts without a reader that the owner counts on.
    """
    if config.guard_model is None:
        return None
    try:
        return open_checkpoint(config.guard_model, cache=config.model_cache, progress=progress)
    except HubUnreachable as error:
        raise SetupError(
            f"GUARD_MODEL: {error}; or name a folder or a .gguf file, or leave GUARD_MODEL empty"
        ) from error


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
        graphs=config.gpu_graphs,
    )


def guard_loader(config: Config, checkpoint: Checkpoint) -> Loader:
    """What the guard model's engine loads, and how. A question that fits into the model's context fits into its own.

    It generates nothing, so it keeps one context of keys and values, the least there is, and 8-bit weights unless the
    owner chooses others: 4 bits save time for every generated token only, and cost a small model much.
    """
    weights = "int8" if config.weights == "auto" else config.weights
    context = config.context + GUARD_PROMPT_IDS
    return replace(loader(config, checkpoint), weights=weights, context=context, kv_bytes=1)


def guard_engine(config: Config, checkpoint: Checkpoint, report: Report | None = None) -> Engine:
    """The guard model's engine, not launched yet."""
    host = ProcessHost(guard_loader(config, checkpoint), config.nice, GUARD_PROCESS_NAME)
    return Engine(host, report, name="guard engine")


async def talk_with_engine(
    config: Config, options: Options, checkpoints: tuple[Checkpoint, Checkpoint | None], errors: Console
) -> bool:
    """One console talk; whether every line came to a good end. The engine loads while the rest gets ready.

    `checkpoints`: the model's, and the guard model's.
    """
    steps, (checkpoint, guard) = Steps(errors), checkpoints
    engine = Engine(ProcessHost(loader(config, checkpoint), config.nice), steps)
    guarding = (guard, guard_engine(config, guard, steps)) if guard else None
    engine.launch()
    try:
        from bots.bootstrap import talk_in_console  # noqa: PLC0415 (imported while the engine loads)

        return await talk_in_console(config, options, (checkpoint, engine), guarding, steps.end)
    finally:
        steps.end()
        await close_engines(engine, guarding)


async def run_with_engine(config: Config, checkpoint: Checkpoint, guard: Checkpoint | None) -> None:
    """The bots with the engine. Messages are taken in while it still loads."""
    engine = Engine(ProcessHost(loader(config, checkpoint), config.nice))
    guarding = (guard, guard_engine(config, guard)) if guard else None
    engine.launch()
    try:
        from bots.bootstrap import run_with_model  # noqa: PLC0415 (imported while the engine loads)

        await run_with_model(config, (checkpoint, engine), guarding)
    finally:
        await close_engines(engine, guarding)


async def close_engines(engine: Engine, guarding: tuple[Checkpoint, Engine] | None) -> None:
    """End both together."""
    engines = (engine, guarding[1]) if guarding else (engine,)
    await asyncio.gather(*(each.close() for each in engines))
