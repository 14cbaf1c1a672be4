"""What stands around a hit and changes what it does: reporting, warning, quoting and playing are no threats. Pure.

A cue before a hit stands in the same sentence, at most WINDOW_CHARACTERS to its left, so what was released of an answer
stays as it was judged. A cue after a hit, the name of a game, is within the few words that the stream guard waits for.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from core.filters.deobfuscate import WINDOW_CHARACTERS
from core.filters.lexicon import ALWAYS_BLOCKED
from core.filters.matcher import Hit

PLAYABLE = frozenset({"violence", "weapons", "drugs"})
"""Categories of what people do in games."""
MAX_WORDS_AFTER = 4
"""How many words after a hit are looked at."""

GAMES = (
    r"(?:minecraft|roblox|fortnite|valorant|among us|(?:the )?sims(?: \d)?|gta|zelda|rust|skyrim|whiterun|cod|call of "
    r"duty"
    r"|overwatch|chess|checkers|monopoly|poker|uno|smash(?: bros)?|mario(?: kart)?|fifa|factorio|terraria|hitman|dota"
    r"|pubg"
    r"|league|apex|csgo|counter[ -]?strike|doom|halo|pok[eé]mon|elden ring|dark souls|rimworld|dwarf fortress"
    r"|schedule i"
    r"|paintball|laser tag|airsoft|ping[ -]?pong|(?:table )?tennis|badminton|basketball|football|golf|pool|bowling|d "
    r"?& ?d|dnd"
    r"|dungeons|games?|gaming|cosplay|(?:next|first|last|final|this) (?:round|match|level)|round \d|raid|playstation"
    r"|xbox"
    r"|fallout|diablo|warcraft|wow|starcraft|stardew|cyberpunk|tekken|mortal kombat|street fighter|free ?fire|liên quân"
    r"|ninja school|tốc chiến|đột kích|ván|trận|boss|truy kích|play ?together|liên minh|lmht)"
)
_GAME_AFTER = re.compile(
    rf"[^\w.!?\n]{{0,3}}(?:\w+[^\w.!?\n]{{1,2}}){{0,2}}?"
    r"(?:(?:in|on|at|for|during|trong|ở|with)\s+(?:the |a |my |this |our )?"
    rf"(?:{GAMES}|\w+ {GAMES})|(?:ván|trận|game) (?:này|đấu|sau)|trong game)\b",
    re.IGNORECASE,
)
_HARMLESS_AFTER = re.compile(
    r"[^\w.!?\n]{1,3}(?:(?:pies?|chicken|cakes?|cookies?|cand(?:y|ies)|brownies|fries|toast|sauce|shelters?|disposal|squads?"
    r"|detectors?"
    r"|bear|costumes?|addict\w*|treatments?|rehab|recovery|withdrawal|awareness|prevention|of gold|seeds?|movies?"
    r"|films?|songs?"
    r"|documentar\w+|props?|museum|cyclone|cosplay|themed|bơ|tắm|kẹo|sữa|nước|sinh nhật|bay|hoa|giấy|mô hình|đồ chơi"
    r"|bánh|khói màu)\b"
    r"|(?:is|are|was|were) (?:never|not|no|wrong|illegal|dangerous|banned|a crime|deadly)\b|isn[’']?t\b|là (?:sai"
    r"|phạm pháp|vi phạm"
    r"|không đúng|nguy hiểm|tội)|bị cấm)",
    re.IGNORECASE,
)
"""What makes "make crack" a pie, and a threat a warning."""
_AFTER_STARTS = frozenset(re.findall(r"[^\W_]+", """
    in on at for during trong ở with ván trận game you all them everyone nhanh is are was were là bị of sinh mô đồ khói
"""))  # fmt: skip
_FIRST_PERSON = re.compile(r"(?:i|im|i'm|i'll|i’ll|am|gonna|going|tao|t)\b", re.IGNORECASE)
_CUES = {
    "report": """
        report; reports; reported; reporting; police; arrest; arrests; arrested; illegal; unlawful; crime
        crimes; prison; jail; sentence; sentenced; convicted; charged; accused; possession; law; laws; fbi
        protect; prevent; catch; warn; warns; warned; warning; tố cáo; tố giác; công an; báo cáo; trình báo
        phạt; phạm pháp; tội; án tù; ngăn; phát hiện; phòng chống; cảnh sát; tàng trữ; lên án
    """,
    "actor": """
        gunman; gunmen; shooter; shooters; attacker; attackers; murderer; murderers; killer; killers; suspect
        suspects; terrorist; terrorists; assassin; assassins; criminal; criminals; nghi phạm; hung thủ
        khủng bố; kẻ giết người
    """,
    "warning": """
        never; don't; dont; do not; must not; should not; would not; will not; can not; cannot; did not
        mustn't; shouldn't; nobody should; no one should; avoid; refuse to; rather than; instead of; if you
        if someone; if somebody; if a child; if he; if she; if i; đừng; không được; không nên; không bao giờ
        chớ; cấm; tuyệt đối không; vì sao; tại sao
    """,
    "mention": """
        word; words; term; terms; slur; slurs; insult; insults; call; calls; called; calling; mean; means
        meaning; define; definition; etymology; synonym; synonyms; yell; yells; yelled; shout; shouts; shouted
        what does; what is; what are; what do; why is; why are; song; songs; film; films; movie; movies; novel
        novels; book; books; title; titled; từ; chữ; gọi; chửi; mắng; nghĩa; tục ngữ; thành ngữ; bảo; kêu; nhắn
        nói; truyện; tiểu thuyết; tác phẩm; phim; bài hát; cuốn
    """,
    "game": """
        minecraft; roblox; fortnite; valorant; among us; sims; gta; zelda; rust; skyrim; whiterun; cod
        call of duty; overwatch; chess; checkers; monopoly; poker; uno; smash; mario; fifa; factorio; terraria
        hitman; dota; pubg; league; apex; csgo; counter strike; doom; halo; pokemon; pokémon; elden ring
        dark souls; rimworld; dwarf fortress; paintball; laser tag; airsoft; ping pong; tennis; badminton
        basketball; football; golf; bowling; dnd; dungeons; game; games; gaming; cosplay; next round
        first round; last round; final round; this round; raid; playstation; xbox; fallout; diablo; warcraft
        starcraft; stardew; cyberpunk; tekken; mortal kombat; street fighter; free fire; freefire; liên quân
        ninja school; tốc chiến; đột kích; ván; trận; boss; truy kích; liên minh; lmht
    """,
}
"""Words before a hit that change what it does, by what they say."""
_CUE_KINDS = {cue.strip(): kind for kind, cues in _CUES.items() for cue in re.split(r"[;\n]", cues) if cue.strip()}
_MAX_CUE_WORDS = max(len(cue.split()) for cue in _CUE_KINDS)
_CUE_HEADS = {cue.split()[0] for cue in _CUE_KINDS}
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_REACH = {
    "report": WINDOW_CHARACTERS,
    "actor": WINDOW_CHARACTERS,
    "game": WINDOW_CHARACTERS,
    "warning": 32,
    "mention": 32,
}
"""How many characters before a hit each kind of cue may begin."""
_BREAK = re.compile(r"[.!?…;\n](?=\s|$)|\n")
_LIFTED = {
    "report": frozenset({"weapons", "drugs", ALWAYS_BLOCKED}),
    "actor": PLAYABLE,
    "warning": PLAYABLE,
    "game": PLAYABLE,
}
"""The categories that do no harm after such a cue."""
_MENTIONABLE = frozenset({"slur", "sexual", "violence"})
_OPENING_QUOTE = re.compile(r"(?<!\w)['‘]|[“«„]")
_CLOSING_QUOTE = re.compile(r"(?<=[\w.!?])['’](?!\w)|[”»]")


def apply_context(text: str, hits: Sequence[Hit]) -> list[Hit]:
    """The hits without those that what stands around them lifts; those that are only mentioned say so."""
    if all(hit.entry.category not in _CATEGORIES for hit in hits):
        return list(hits)
    breaks = [match.start() for match in _BREAK.finditer(text)]
    kept = list[Hit]()
    for hit in hits:
        if hit.entry.category not in _CATEGORIES:
            kept.append(hit)
            continue
        first = max(_sentence_start(breaks, hit.start), hit.start - WINDOW_CHARACTERS)
        kinds = _cues_before(text[first : hit.end], hit.start - first)
        if not _is_lifted(text, hit, kinds):
            quoted = "mention" in kinds or _is_quoted(text[first : hit.start])
            mentioned = quoted and hit.entry.category in _MENTIONABLE
            kept.append(Hit(hit.start, hit.end, hit.entry, mentioned) if mentioned else hit)
    return kept


@lru_cache(256)
def _cues_before(text: str, end: int) -> frozenset[str]:
    """The kinds of cues in the text before position `end`, where a hit begins; a report may stand within the hit."""
    words = [(match.start(), match[0].lower().replace("’", "'")) for match in _WORD.finditer(text)]
    found = set[str]()
    for at, (start, word) in enumerate(words):
        if word not in _CUE_HEADS:
            continue
        for count in range(1, _MAX_CUE_WORDS + 1):
            cue = words[at : at + count]
            kind = _CUE_KINDS.get(" ".join(each for _, each in cue))
            if kind is None or start < end - _REACH[kind] or (cue[-1][0] >= end and kind != "report"):
                continue
            if kind != "warning" or _warns_of(text, words, at, end):
                found.add(kind)
    return frozenset(found)


def _warns_of(text: str, words: Sequence[tuple[int, str]], at: int, end: int) -> bool:
    """Whether the warning at word `at` is about what begins at position `end`: no comma or colon stands between, and it
    is no "why don't you"."""
    following = words[at + 1][1] if at + 1 < len(words) else ""
    asks = (at > 0 and words[at - 1][1] == "why") or (words[at][1] in ("don't", "dont") and following == "you")
    return not asks and not any(sign in text[words[at][0] : end] for sign in ",:")


_CATEGORIES = _MENTIONABLE | PLAYABLE | {ALWAYS_BLOCKED}


def _sentence_start(breaks: Sequence[int], position: int) -> int:
    """The position after the last end of a sentence before this one."""
    at = bisect_left(breaks, position)
    return breaks[at - 1] + 1 if at else 0


def _is_lifted(text: str, hit: Hit, kinds: frozenset[str]) -> bool:
    first_person = _FIRST_PERSON.match(text, hit.start) is not None
    for kind in kinds & _LIFTED.keys():
        if hit.entry.category in _LIFTED[kind] and (kind == "game" or not first_person):
            return True
    if hit.entry.category not in PLAYABLE:
        return False
    return any(after.match(text, hit.end) for after in (_GAME_AFTER, _HARMLESS_AFTER))


def _is_quoted(before: str) -> bool:
    """Whether a quotation begins in this text before a hit and does not end there."""
    if before.count('"') % 2 or before.count("`") % 2:
        return True
    return len(_OPENING_QUOTE.findall(before)) > len(_CLOSING_QUOTE.findall(before))


def awaits_cue(text: str, hit: Hit, end: int) -> bool:
    """Whether the text up to `end` may still go on so that what follows lifts the hit."""
    if hit.entry.category not in PLAYABLE:
        return False
    rest = text[hit.end : end]
    words = rest.lower().split()
    if _BREAK.search(rest) or len(words) > MAX_WORDS_AFTER:
        return False
    return len(words) < 2 or not _AFTER_STARTS.isdisjoint(words[:2])
