"""The weights of a GGUF file in the formats of peers that can't read it: converted once, and kept in build/bench.

All start from the file's values in bf16. The converters are the peers' own, and run in the peers' own Pythons.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.engine import folders

EXPORTS = folders.BENCH_FOLDER / "exports"
DONE = "done"
"""A file that is written into an export when it is whole."""
EXPORT_TIMEOUT_S = 1800.0
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def hub_folder(source: Path) -> Path:
    """The values in bf16, with config and tokenizer, as the model hub has them. `source`: a converted folder.

    transformers would take minutes to read a GGUF file.
    """

    def write(target: Path) -> None:
        folders.write_weights("hub", str(source), target=target)
        for name in TOKENIZER_FILES:
            if (source / name).exists():
                shutil.copy(source / name, target)

    return kept(source, "hub", write)


def export(source: Path, kind: str, command: Callable[[str, str], list[str]]) -> Path:
    """What a converter makes of the bf16 values. `command`: from their folder and the one to write.

    Raises PeerFailed if it fails.
    """
    values = hub_folder(source)
    return kept(
        source, kind, lambda target: folders.run(command(str(values), str(target)), f"{kind}-export", EXPORT_TIMEOUT_S)
    )


def kept(source: Path, kind: str, write: Callable[[Path], None]) -> Path:
    """The folder of an export, written now unless it is there and whole."""
    target = EXPORTS / source.name / kind
    if not (target / DONE).exists():
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target)
        (target / DONE).touch()
    return target
