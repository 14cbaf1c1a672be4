"""Writes a GGUF file again with its matrices in another type: python -m benchmarks.engine.requantize SOURCE TYPE TARGET

TYPE is one of TYPES. As llama.cpp's own quantizing program does for models of this size, the table that gives the
logits is Q8_0: `output.weight`, or `token_embd.weight` in a file without it.
"""

import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter, LlamaFileType
from gguf.quants import dequantize, quantize

TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16")
"""Types that the gguf package can write."""
OUTPUT, EMBEDDING = "output.weight", "token_embd.weight"
OF_THE_FILE = ("GGUF.", "general.architecture", "general.file_type")
"""Beginnings of keys that are written anew."""


def new_type(name: str, dimensions: int, old: Type, wanted: Type, names: Collection[str]) -> Type:
    """The type of a tensor in the new file. Norms and biases keep theirs."""
    if dimensions < 2:
        return old
    logits = OUTPUT if OUTPUT in names else EMBEDDING
    return Type.Q8_0 if name == logits and wanted not in (Type.F16, Type.BF16) else wanted


def requantize(source: Path, wanted: Type, target: Path) -> None:
    """Write the file at `target`, whole or not at all."""
    reader = GGUFReader(source)
    part = target.with_suffix(".part")
    writer = GGUFWriter(part, str(reader.fields["general.architecture"].contents()))
    for field in reader.fields.values():
        if not field.name.startswith(OF_THE_FILE):
            writer.add_key_value(field.name, field.contents(), field.types[0], *field.types[1:])
    writer.add_file_type(LlamaFileType[f"MOSTLY_{wanted.name}"])
    names = {tensor.name for tensor in reader.tensors}
    for tensor in reader.tensors:
        kind = new_type(tensor.name, len(tensor.shape), tensor.tensor_type, wanted, names)
        data = np.asarray(tensor.data)
        if kind != tensor.tensor_type:
            data = quantize(dequantize(data, tensor.tensor_type), kind)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.rename(target)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [source, word, target] if word in TYPES:
            requantize(Path(source), Type[word], Path(target))
        case _:
            sys.exit(__doc__)
