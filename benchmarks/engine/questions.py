"""Questions whose answers repeat much of their prompts, and plain ones: what guessing gains, and what it costs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.engine.turns import SETTINGS
from core.answering.prompt import QuestionPrompt, build_prompt
from core.checkpoints import inspect_checkpoint
from core.domain.sampling import Sampling
from core.llm.tokenizer import Tokenizer

BRIDGE = """The old stone bridge at Elmford was built in 1784 by a mason named Thomas Harrow, who had learned his trade
on the canals of the north. It replaced a wooden bridge that the winter floods had carried away three times
in twenty years. The town paid for it with a toll of one penny for every cart and a halfpenny for every
horse, and the toll house still stands on the eastern bank, where it is now a small museum. For a hundred
and fifty years the bridge carried all the traffic between the two halves of the town. During the great
flood of 1852 the water rose above the arches, and people watched from the church tower, sure that it would
fall, but Harrow's foundations held, and only the parapet on the upstream side was lost. In 1934 the county
built a new road bridge half a mile to the south, and the old bridge was closed to motor vehicles. It might
have been pulled down, had not the schoolteacher Margaret Lane collected four thousand signatures in a town
of six thousand people. Her campaign led the council to declare the bridge a protected monument, the first
in the county. Today the bridge is used by walkers and cyclists, and every June the town holds a fair on it,
with stalls from one bank to the other. Engineers examined the structure in 2015 and found two of the five
arches weakened by the roots of willow trees. The repair cost nearly a million pounds, of which a third was
given by the people of the town. The work was finished in 2018, and the masons left a coin of that year
under the last stone."""

BEES = """Honeybees tell one another where food is by dancing. A forager that has found a good patch of flowers
returns to the dark hive and runs in a straight line across the comb, waggling her body from side to side.
Then she circles back, first to the left and then to the right, and repeats the run many times. The angle of
the run to the vertical is the same as the angle between the sun and the flowers, and the length of the run
shows how far away they are: about one second for every kilometre. Other bees follow the dancer closely in
the dark, touching her with their antennae, and after a few runs they leave the hive and fly to the place.
Karl von Frisch described the dance in 1927 and received the Nobel Prize for it in 1973. Many scientists did
not believe him at first, and argued that bees find flowers by smell alone. In the 1980s a mechanical bee
was built that danced in a real hive, and live bees followed its directions. Newer studies with tiny radar
antennae glued to the backs of bees have shown that they fly straight to the place that the dance describes,
and search there only for the last few metres. The dance is not perfect. Young bees dance less exactly than
old ones, and they learn by following experienced dancers before they dance themselves. Hives in which no
old dancers are left produce dances with larger errors, which never quite disappear. So the dance language,
long thought to be pure instinct, is in part passed on from one generation of bees to the next, as human
language is."""

QUESTIONS = {
    "summary": [
        "Summarize the following text:\n\n" + " ".join(BRIDGE.split()),
        "Summarize this text in one paragraph.\n\n" + " ".join(BEES.split()),
    ],
    "plain": [
        "Why is the sky blue?",
        "How do I boil an egg?",
        "Write a short story about a dragon who is afraid of fire.",
        "What is the difference between TCP and UDP?",
        "Giải thích cho tôi cách nấu phở bò.",
    ],
}
"""By kind. The texts of the first have about 400 ids."""


class Questioner:
    """Makes prompts with the tokenizer and chat template of a model's folder. `sampling`: the model's own defaults."""

    def __init__(self, folder: Path) -> None:
        checkpoint = inspect_checkpoint(folder)
        self.tokenizer = Tokenizer(checkpoint.folder, checkpoint.chat_template)
        self.sampling: Sampling = replace(checkpoint.sampling, stop_ids=checkpoint.stop_ids)

    def prompts(self, kind: str) -> Iterator[list[int]]:
        """The prompts of a kind of questions."""
        for question in QUESTIONS[kind]:
            yield self.tokenizer.encode(build_prompt(SETTINGS, [], QuestionPrompt(question)))
