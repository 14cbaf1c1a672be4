"""Configuration: defaults, sources, and all mistakes at once without their values."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from bots import config as config_module
from bots.bootstrap import service_timing
from bots.config import Config, read_config
from bots.launch import guard_loader, loader
from core.checkpoints import DEFAULT_MODEL, Checkpoint
from core.domain.errors import SetupError
from core.domain.sampling import Sampling
from core.domain.settings import Limits
from core.engine.loader import Loader
from core.filters import check
from tests.tables import each_row


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No setting of this machine, and a .env of the test's own."""
    for field, info in Config.model_fields.items():
        monkeypatch.delenv(str(info.validation_alias or field).upper(), raising=False)
    file = tmp_path / ".env"
    monkeypatch.setattr(config_module, "ENV_FILES", (file,))
    monkeypatch.setitem(Config.model_config, "env_file", (file,))
    return file


def test_the_defaults_work() -> None:
    config = read_config()
    settings = config.rules.settings({})
    assert (settings.temperature, settings.max_tokens, settings.memory) == (0.7, 512, 3)
    assert config.model == DEFAULT_MODEL and config.telegram_token is None
    assert config.access.admits is not None and config.access.users == frozenset()
    assert config.database.endswith("/data/qwentin.db")


def test_the_example_is_what_the_defaults_are(alone: Path) -> None:
    before = read_config()
    lines = (Path(__file__).parents[2] / ".env.example").read_text("utf-8").splitlines()
    alone.write_text("\n".join(line.removeprefix("#") for line in lines if line[1:2].isupper() and "=" in line))
    assert read_config().model_dump(exclude={"data_dir"}) == before.model_dump(exclude={"data_dir"})


def test_the_environment_comes_before_the_file(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.write_text("MEMORY=5\nOWNERS=telegram:1, 2 discord:3\nTEMPERATURE=0,2\nBOT_NAME=Bé\n")
    monkeypatch.setenv("MEMORY", "7")
    config = read_config()
    assert config.rules.settings({}).memory == 7 and config.rules.settings({}).temperature == 0.2
    assert config.owners == {"telegram:1", "2", "discord:3"} and config.bot_name == "Bé"


def test_all_mistakes_at_once_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"TEMPERATURE": "2", "MAX_TOKENS": "300", "MEMORY": "0", "WEIGHTS": "int1",
             "CONTEXT": "123456:AAHsecretsecretsecretsecretsecretsecret",
             "KV_CACHE": "63", "MAX_TOKENS_CAP": "7", "GUARD_ON_FAILURE": "ajar", "GUARD_TIMEOUT": "0",
             "SYSTEM_PROMPT": "x" * 2001, "LOG_LEVEL": "LOUD"}  # fmt: skip
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SetupError) as caught:
        read_config()
    lines = str(caught.value).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(wrong)
    assert "secret" not in str(caught.value) and "LOUD" not in str(caught.value), "a value may be a token"


def test_a_context_too_small_for_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT", "1024")
    with pytest.raises(SetupError, match="at least twice MAX_TOKENS_CAP, 2048"):
        read_config()


def test_a_misspelt_setting_is_pointed_out(alone: Path, caplog: pytest.LogCaptureFixture) -> None:
    alone.write_text("TEMPERATUR=0.1\nHF_HOME=/somewhere\n")
    with caplog.at_level(logging.WARNING):
        read_config()
    assert "TEMPERATUR is no setting; did you mean TEMPERATURE?" in caplog.text and "HF_HOME" not in caplog.text


def test_a_file_that_is_no_text(alone: Path) -> None:
    alone.write_bytes(b"MEMORY=\xff\xfe")
    with pytest.raises(SetupError, match=r"\.env"):
        read_config()


def test_telegram_is_telegrams_own_and_drafts_and_rich_messages_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_config()
    assert config.telegram_api_url == "https://api.telegram.org"
    assert (config.telegram_drafts, config.telegram_rich) == (False, False)
    monkeypatch.setenv("TELEGRAM_API_URL", "http://localhost:8081/")
    monkeypatch.setenv("TELEGRAM_DRAFTS", "1")
    monkeypatch.setenv("TELEGRAM_RICH", "1")
    config = read_config()
    assert config.telegram_api_url == "http://localhost:8081"
    assert (config.telegram_drafts, config.telegram_rich) == (True, True)


@each_row("token", ["987654321", "123456789:AA bb", "AA:bb", "123:AA/../x", "<token>"])
def test_what_is_no_token(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", token)
    with pytest.raises(SetupError, match="TELEGRAM_TOKEN: looks like") as wrong:
        read_config()
    assert token not in str(wrong.value)


def test_what_no_log_may_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", "123456789:AA-secret")
    assert read_config().secrets == ["123456789:AA-secret", "AA-secret"]
    monkeypatch.setenv("DISCORD_TOKEN", "MTIz.Gabc.secret-part")
    assert read_config().secrets == ["123456789:AA-secret", "MTIz.Gabc.secret-part", "AA-secret", "secret-part"]
    monkeypatch.setenv("DATABASE_URL", "postgresql://bot:a%20long%20word@db/bot")
    config = read_config()
    assert config.secrets[4:] == [":a%20long%20word@", "a%20long%20word", "a long word"] and "long" not in repr(config)
    assert config.database == "postgresql://bot:a%20long%20word@db/bot"
    monkeypatch.setenv("DATABASE_URL", "postgresql://bot:bot@db/bot")
    assert read_config().secrets[4:] == [":bot@"], "a word that a log may need"


def test_discord_is_discords_own(monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_config()
    assert (config.discord_api_url, config.discord_gateway_url) == (
        "https://discord.com/api/v10",
        "wss://gateway.discord.gg/",
    )
    monkeypatch.setenv("DISCORD_API_URL", "http://localhost:8082/api/v10/")
    monkeypatch.setenv("DISCORD_GATEWAY_URL", "ws://localhost:8082/gateway/")
    config = read_config()
    assert (config.discord_api_url, config.discord_gateway_url) == (
        "http://localhost:8082/api/v10",
        "ws://localhost:8082/gateway/",
    )


@each_row(
    ("name", "value"),
    [
        ("DISCORD_TOKEN", "secretsecret"),
        ("DISCORD_TOKEN", "Bot a.b.c"),
        ("DISCORD_TOKEN", "a.b"),
        ("DISCORD_TOKEN", "a.b.c/../d"),
        ("DISCORD_API_URL", "nowhere"),
        ("DISCORD_API_URL", "ws://localhost"),
        ("DISCORD_GATEWAY_URL", "https://gateway.discord.gg"),
    ],
)
def test_what_discord_settings_must_be(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with monkeypatch.context() as environment, pytest.raises(SetupError, match=name) as wrong:
        environment.setenv(name, value)
        read_config()
    assert value not in str(wrong.value)


@each_row(
    ("values", "level", "least"),
    [
        ({}, "standard", "standard"),
        ({"FILTER": "Strict"}, "strict", "standard"),
        ({"FILTER_MINIMUM": "OFF"}, "standard", "off"),
        ({"FILTER": "off", "FILTER_MINIMUM": "off"}, "off", "off"),
        ({"FILTER": "strict", "FILTER_MINIMUM": "strict"}, "strict", "strict"),
    ],
)
def test_the_filters_level(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], level: str, least: str) -> None:
    with monkeypatch.context() as environment:
        for name, value in values.items():
            environment.setenv(name, value)
        rules = read_config().rules
    assert (rules.settings({}).policy.level, rules.min_level) == (level, least)


@each_row(
    ("values", "mistake"),
    [
        ({"FILTER": "loud"}, "FILTER: The filter is off, standard or strict"),
        ({"FILTER_MINIMUM": "loud"}, "FILTER_MINIMUM: Input should be 'off', 'standard' or 'strict'"),
        ({"FILTER": "off"}, "FILTER_MINIMUM: FILTER is below it; FILTER_MINIMUM=off would allow that"),
        ({"HELP_LINES": "x" * 1001}, "HELP_LINES"),
    ],
)
def test_mistakes_about_the_filter(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], mistake: str) -> None:
    with monkeypatch.context() as environment, pytest.raises(SetupError, match=mistake):
        for name, value in values.items():
            environment.setenv(name, value)
        read_config()


def test_the_owners_own_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    monkeypatch.setenv("FILTER_WORDS", str(file))
    with pytest.raises(SetupError, match=r"FILTER_WORDS: .*words.txt can't be read: No such file"):
        read_config()
    file.write_text("[profanity 2]\nblorg\n[loud]\n")
    with pytest.raises(SetupError, match=r"FILTER_WORDS: line 3: \[loud\] is no section"):
        read_config()
    file.write_text("[profanity 2]\nblorg\nxấu lắm\n")
    policy = read_config().rules.settings({}).policy
    assert check("blorg", policy).blocked and check("xấu lắm", policy).blocked and not check("xau lam", policy).blocked


def test_what_the_engine_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkpoint = Checkpoint("tiny", tmp_path, "llama", 1024, 1, "", (), Sampling())
    monkeypatch.setenv("DATA_DIR", "data")
    assert loader(read_config(), checkpoint) == Loader(tmp_path, context=4096, cache=Path("data/models"))
    for name, value in (("WEIGHTS", "int8"), ("THREADS", "3"), ("CONTEXT", "2048"), ("KV_CACHE", "64")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GPU_GRAPHS", "1")
    told = Loader(tmp_path, "int8", 3, 2048, 64 * 2**20, cache=Path("data/models"), graphs=True)
    assert loader(read_config(), checkpoint) == told


def test_what_the_guard_models_engine_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A question that the model takes fits in with its instructions; and one context is all that it keeps."""
    checkpoint = Checkpoint("tiny", tmp_path, "qwen3", 8192, 1, "", (), Sampling())
    config = read_config()
    assert (config.guard_model, config.guard_on_failure, config.guard_timeout) == (None, "open", 10)
    for name, value in (("THREADS", "3"), ("CONTEXT", "2048"), ("KV_CACHE", "64"), ("DATA_DIR", "data")):
        monkeypatch.setenv(name, value)
    told = Loader(tmp_path, "int8", 3, 3072, 1, cache=Path("data/models"))
    assert guard_loader(read_config(), checkpoint) == told
    monkeypatch.setenv("WEIGHTS", "bf16")
    assert guard_loader(read_config(), checkpoint) == replace(told, weights="bf16")
    monkeypatch.setenv("GUARD_MODEL", "Qwen/Qwen3Guard-Gen-0.6B")
    monkeypatch.setenv("GUARD_ON_FAILURE", "closed")
    monkeypatch.setenv("GUARD_TIMEOUT", "2.5")
    config = read_config()
    assert (config.guard_model, config.guard_on_failure) == ("Qwen/Qwen3Guard-Gen-0.6B", "closed")
    assert config.guard_timeout == 2.5


def test_how_many_questions_may_wait_and_how_long_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_config().rules.limits == Limits(chat=5, user=20, waiting=1000, commands=5)
    for name, value in (("WAITING_PER_CHAT", "0"), ("QUESTIONS_PER_USER", "7"), ("WAITING_IN_ALL", "8")):
        monkeypatch.setenv(name, value)
    assert read_config().rules.limits == Limits(chat=0, user=7, waiting=8, commands=5)
    monkeypatch.setenv("WAITING_PER_CHAT", "-1")
    with pytest.raises(SetupError, match="WAITING_PER_CHAT"):
        read_config()
    monkeypatch.delenv("WAITING_PER_CHAT")
    assert service_timing(read_config()).kept_days == 30
    monkeypatch.setenv("BOOKKEEPING_DAYS", "0")
    assert service_timing(read_config()).kept_days == 0
    for value, why in (("-1", "greater than or equal to 0"), ("a week", "a valid integer"), ("99999", "less than or")):
        monkeypatch.setenv("BOOKKEEPING_DAYS", value)
        with pytest.raises(SetupError, match=f"^BOOKKEEPING_DAYS: Input should be {why}"):
            read_config()
