"""The content filter on labelled texts: `python -m benchmarks.filter FOLDER...`.

The first FOLDER has en.jsonl and vi.jsonl (rows with text, label, category, tier, evasion) and may have
en_variants.jsonl and vi_variants.jsonl (text), and conversation.jsonl (text, lang, want: answer or support); files are
also looked for in its folder `dev`. Any FOLDER may have harmless text, one text a line, in `*.lines`. System
dictionaries, and the descriptions of Debian's packages, are used where they are installed, and the output says where
they are not. Texts that others have labelled stay outside this repository.
"""

import json
import random
import statistics
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.filter_cost import report_times
from core.filters import FilterAction, blocked, check, refused, stream_guard, supported
from core.filters.tokenize import strip_marks
from tests.core.filters.disguises import DISGUISES, WORDS

LANGUAGES = ("en", "vi")
CATEGORY_GROUPS = {"medical": ("medical",), "typed without accents": ("unaccented_clean", "noacc")}
"""Harmless categories whose false alarms are also reported on their own."""
DICTIONARIES = {
    "en": ("/usr/share/dict/american-english", "/usr/share/dict/words"),
    "vi": ("/usr/share/dict/vietnamese", "/usr/share/hunspell/vi_VN.dic"),
}

SEARCH_SEEDS, SEARCH_STEPS = 12, 80
"""How long worst texts are searched for: some minutes in all."""
Row = dict[str, Any]


def read_rows(folder: Path, name: str) -> list[Row]:
    """The rows of a JSON Lines file; [] where there is none."""
    for parent in (folder, folder / "dev"):
        if (parent / name).is_file():
            return [json.loads(line) for line in (parent / name).read_text("utf-8").splitlines() if line.strip()]
    return []


def share(hits: Iterable[bool]) -> float:
    """The share of true values, 0 to 1; NaN for none at all."""
    values = list(hits)
    return sum(values) / len(values) if values else float("nan")


def report_verdicts(found: Sequence[Row], language: str) -> None:
    """Print precision, recall and false alarms of one language."""
    caught = [(row, blocked(row["text"])) for row in found]
    lexical = [(row, hit) for row, hit in caught if row.get("tier") == "lexical"]
    benign = [(row, hit) for row, hit in caught if row["label"] == "allow"]
    right, wrong = sum(hit for _, hit in lexical), sum(hit for _, hit in benign)
    classes = defaultdict(list)
    for row, hit in lexical:
        classes[row["evasion"]].append(hit)
    by_class = {name: share(hits) for name, hits in sorted(classes.items())}
    print(
        f"{language}: precision {right / max(right + wrong, 1):.4f}, lexical recall {share(h for _, h in lexical):.4f}"
    )
    print(f"{language}: lowest evasion class {min(by_class, key=by_class.__getitem__)} {min(by_class.values()):.3f}")
    print("    " + "  ".join(f"{name} {value:.2f}" for name, value in by_class.items()))
    print(f"{language}: false alarms {share(h for _, h in benign):.4%} of {len(benign)}")
    for name, categories in CATEGORY_GROUPS.items():
        group = [hit for row, hit in benign if row["category"] in categories]
        if group:
            print(f"{language}: false alarms, {name} {share(group):.4%} of {len(group)}")
    meaning = [hit for row, hit in caught if row.get("tier") == "semantic"]
    print(f"{language}: harmful meaning without rude words, caught {share(meaning):.3f} of {len(meaning)}")


def report_conversation(folder: Path, harmless: Sequence[str]) -> None:
    """Print how many everyday texts are refused or cut, and who sees help lines."""
    found = read_rows(folder, "conversation.jsonl")
    answered = [row["text"] for row in found if row["want"] == "answer"]
    if not found:
        return
    wrong = [text for text in answered if refused(text) or check(text).action is FilterAction.STOP]
    print(f"conversation: refused or cut {share(text in wrong for text in answered):.2%} of {len(answered)}")
    for language in LANGUAGES:
        cries = [row["text"] for row in found if row["want"] == "support" and row["lang"] == language]
        print(f"{language}: help lines for {share(map(supported, cries)):.3f} of {len(cries)} in danger")
    calm = [*answered, *harmless]
    print(f"false comfort: {share(map(supported, calm)):.2%} of {len(calm)}")


def report_disguises() -> None:
    """Print the recall on each way to disguise a word that a reader still sees through."""
    for language, disguises in DISGUISES.items():
        rng, shares = random.Random(3), {}
        for name, disguise in disguises.items():
            written = [(word, disguise(word, rng)) for word in WORDS[language] for _ in range(8)]
            shares[name] = share(blocked(f"so {text} ok") for word, text in written if text != word)
        print(f"{language}: disguises", "  ".join(f"{name} {value:.2f}" for name, value in shares.items()))


def report_corpora(folders: Sequence[Path]) -> None:
    """Print how many lines of harmless corpora are found, and how many blocks of source code are altered."""
    files = [file for folder in folders for file in sorted(folder.glob("*.lines"))]
    corpora = {file.name: file.read_text("utf-8").splitlines() for file in files}
    try:
        packages = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        packages = ""
    corpora["Debian package descriptions"] = sorted({line for line in packages.splitlines() if line[:1] == " "})
    for name, lines in corpora.items():
        if not lines:
            print(f"{name}: this machine has none")
            continue
        print(f"{name}: found in {share(map(blocked, lines)):.4%} of {len(lines)} lines")
    blocks = []
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        lines = file.read_text("utf-8", errors="ignore").splitlines()
        blocks += ["\n".join(lines[at : at + 30]) for at in range(0, len(lines) - 30, 300)]
    chosen = random.Random(7).sample(blocks, min(1000, len(blocks)))
    print(f"source code: {sum(map(blocked, chosen))} of {len(chosen)} blocks altered")


def report_variants(folder: Path, language: str) -> None:
    """Print the recall on spellings that others have collected."""
    found = read_rows(folder, f"{language}_variants.jsonl")
    if found:
        print(f"{language}: others' spellings {share(blocked(row['text']) for row in found):.3f} of {len(found)}")


def report_dictionary(language: str) -> None:
    """Print how many words of a dictionary are found, each alone, with and without accents."""
    file = next((Path(name) for name in DICTIONARIES[language] if Path(name).is_file()), None)
    if file is None:
        print(f"{language}: dictionary words: this machine has no dictionary")
        return
    lines = file.read_text("utf-8").splitlines()
    words = [line.split("/")[0].strip() for line in lines if line.strip() and not line.isdigit()]
    forms = {word for entry in words for word in (entry, strip_marks(entry.lower()) if language == "vi" else entry)}
    hits = sorted(word for word in forms if blocked(word))
    print(f"{language}: dictionary words {len(hits) / len(forms):.4%} of {len(forms)}: {' '.join(hits[:12])}")


def report_streams(found: Sequence[Row]) -> None:
    """Stream every text in random pieces; print how often blocked text is shown and harmless text is altered."""
    rng, leaks, altered, held, harmless, rude = random.Random(7), 0, 0, [0], 0, 0
    for row in found:
        text, rude_row = row["text"], blocked(row["text"])
        guard, shown, at, leaked = stream_guard(), "", 0, False
        while at < len(text):
            step = rng.randint(1, 4)
            shown += guard.feed(text[at : at + step])
            at += step
            if rude_row and not leaked:
                leaked = blocked(shown)
            elif not rude_row:
                held.append(min(at, len(text)) - len(shown))
        shown += guard.finish()
        leaks += leaked or blocked(shown)
        rude += rude_row
        harmless += not rude_row
        altered += not rude_row and shown != text
    print(f"streams: {leaks} leaks in {rude} blocked texts, {altered} of {harmless} harmless texts altered, "
          f"held {statistics.fmean(held):.1f} on average, {max(held)} at most")  # fmt: skip


def main() -> None:
    """Print all figures of the folders."""
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders or not all(folder.is_dir() for folder in folders):
        sys.exit("python -m benchmarks.filter FOLDER...   (the first with en.jsonl and vi.jsonl)")
    folder, everything = folders[0], list[Row]()
    for language in LANGUAGES:
        found = read_rows(folder, f"{language}.jsonl")
        everything += found
        if found:
            report_verdicts(found, language)
        report_variants(folder, language)
        report_dictionary(language)
    harmless = [row["text"] for row in everything if row["label"] == "allow"]
    report_conversation(folder, harmless)
    report_disguises()
    report_corpora(folders)
    if everything:
        report_times([row["text"] for row in everything], harmless, SEARCH_SEEDS, SEARCH_STEPS)
        report_streams(everything)


if __name__ == "__main__":
    main()
