"""The verdict on a question: it is judged by what it does. Pure.

An answer is held back word by word; a question is read whole. Rude words in it are no reason to refuse it, unless they
are aimed at somebody; words that are quoted, asked about or translated harm nobody; and who may be in danger is always
answered. At the level `strict` a question is refused wherever an answer would be masked.
"""

import re
import unicodedata
from dataclasses import replace

from core.domain.filter_policy import Level, Policy
from core.filters.context import GAMES, PLAYABLE
from core.filters.danger import Danger, find_danger, is_figure_of_speech
from core.filters.lexicon import ALWAYS_BLOCKED, CUSTOM
from core.filters.matcher import Hit
from core.filters.verdict import SELF_HARM, FilterAction, Verdict, action_for, examine, judge, policy_lexicons

_AROUND_CHARACTERS = 64
"""How far the words before and after a hit are looked at."""

_MAX_HITS = 64
"""How many hits are looked at, the worst first."""

_PERSON_NOUN = (
    r"(?:mother ?)?(?:bitch(?:es)?|cunts?|ass ?holes?|arseholes?|twats?|wankers?|\w*fuckers?|\w*suckers?|\w*heads?"
    r"|pricks?"
    r"|shits?|bastards?|dumbass(?:es)?|asshats?|asswipes?|son of a bitch|\w*face|\w*wads?)"
)
_AIMED_WITHIN = re.compile(
    r"\b(?:you|u|ur|yo|your|yourself|urself)\b|\b(?:my|mah|deez) (?:ass|arse|balls|nuts|dick|cock)\b"
    r"|\b(?:mày|mầy|tao|nhà mày|may|tụi bay|chúng mày|bon may)\b|^(?:đồ|thằng|con đĩ|con phò|lũ|bọn|tụi|quân|do|thang"
    r"|đúng là)\b"
)
_AIMED_AFTER = re.compile(
    r"\W{0,3}(?:you|u|ur|ya|your|yourself|urself|off|him|her|them|mày|mầy|m|mi|tụi mày|chúng mày|bot|thằng|lũ|bọn"
    r"|quân|chúng"
    r"|tụi bay|bay|cả lò|nhà mày|tao|may|con (?:đĩ|chó|này|kia|bot)|thang|tui may)\b(?! (?:know|see|go|can|up|tử|sự"
    r"|sao))"
)
_AIMED_BEFORE = re.compile(
    r"(?:\b(?:you|u|ur|your|youre|you're|you’re|ya|yall|y'all)\b(?:'re| are| r| is| be)?(?:,? (?:all|such|just|really"
    r"|a|an|one|the|big"
    r"|stupid|dumb|little|ugly|fat|old|damn|fucking|goddamn|piece of|worthless|absolute|total|complete|lying|dirty"
    r"|lazy|useless"
    r"|crazy|pathetic|miserable|and|bunch of|pieces of)){0,4}|\bshut (?:the|your|up|up you)|\b(?:hey|shut up,?)"
    r"|\b(?:mày|mầy|đồ|thằng|lũ|bọn|quân|câm|cút|im đi|im|câm mồm|biến|tụi mày|chúng mày|cái thằng|cái con|đúng là"
    r"|loại|may)"
    r"(?:\s\w+){0,3})\W{1,2}$"
)
_AIMED_ORDER = re.compile(r"(?:^|[.,!?]|\b(?:go|and|can|please|to|just))\s*(?:eat|suck|lick)\W{1,2}(?:my |a )?$")
_VERB_FORM = re.compile(r"\w+(?:ed|ing|in|s off|up)$|^(?:fucks?|shits?|f•+)$")
_NOUN_AFTER = re.compile(
    r"\W?(?:\w+ )?(?:idiot|moron|loser|bot|fool|pig|dog|piece|trash|liar|clown|imbecile|retard|animal|creep|cow|freak"
    r"|machine|robot"
    rf"|scum|{_PERSON_NOUN})s?\b"
)
_LONE_INSULT = re.compile(rf"\W*{_PERSON_NOUN}\W*")
_QUOTED = re.compile(
    r"\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|„[^“”\n]{1,200}[“”]|‘[^’\n]{1,200}’|«[^»\n]{1,200}»|`[^`\n]{1,200}`"
    r"|(?<!\w)'[^'\n]{1,200}'(?!\w)"
)
_MENTION_BEFORE = re.compile(
    r"\b(?:words?|terms?|slurs?|insults?|called|calls?|calling|named|said|says?|saying|told|yell(?:s|ed|ing)?"
    r"|shout(?:s|ed|ing)?|wrote|writes|texted|texts|means?|meaning|defin\w+|etymology|translat\w+|pronounce|spell"
    r"|lyrics|songs?|titled?"
    r"|titles?|bands?|albums?|films?|movies?|novels?|books?|synonyms?|phrase|expression|quote[sd]?|rephrase|correct"
    r"|proofread|rewrite"
    r"|grammar|regex|grep|filter|difference between|pronunciation"
    r"|từ|chữ|câu|gọi|kêu|chửi|mắng|bảo|nhắn|nói|viết|nghĩa|dịch|tục ngữ|thành ngữ|cụm từ|bình luận|đọc|regex|bộ lọc"
    r"|lọc|truyện|phim"
    r"|bài hát|bài|tác phẩm|tiểu thuyết|sách)\b[^.!?\n]*$"
)
_MENTION_AFTER = re.compile(
    r"[^.!?\n]{0,40}?\b(?:mean|means|meaning|offensive|slurs?|insults?|rude|ruder|worse|derogatory|stands? for|come "
    r"from|comes from"
    r"|originate|in (?:french|german|spanish|english|vietnamese|chinese|japanese|korean|italian|russian)|(?:the "
    r")?word|used to be a word"
    r"|nghĩa|viết tắt|là gì|từ gì|chữ gì|dịch|khác nhau|đọc sao|đọc thế nào|miệt thị|xúc phạm|từ tục|lịch sự|là từ)\b"
)
_ASKED_FOR = re.compile(
    r"\b(?:write|show|send|give|story|stories|roleplay|role play|generate|draw|link|links|pics?|videos?|describe|xin"
    r"|viết|gửi|xem"
    r"|kể)\b"
)
_REPORTING = re.compile(
    r"\b(?:report\w*|police|authorit\w+|hotline|who do i (?:tell|call|contact)|whom do i (?:tell|call)|who can help"
    r"|what (?:should|do|can|shall)"
    r" (?:i|he|she|we|they|one)(?: \w+)? do|illegal|crimes?|laws?|sentenced?|protect\w*|restraining order|tố cáo|tố "
    r"giác|báo ai|báo công an"
    r"|trình báo|phạm pháp|phạt|ngăn|báo cho|cảnh sát|công an)\b"
)
_REQUEST = re.compile(
    r"\b(?:send me|show me|give me|find me|where (?:can|do) i (?:find|get|buy|download|watch)|i want|i need|links? "
    r"(?:to|for)|help me (?:find|get)"
    r"|how (?:do|can) i (?:get|find|download|buy|watch|make)|xin|cho (?:tôi|tao|mình|xin)|tìm|muốn (?:xem|mua|tải)"
    r"|tải)\b"
)
_HYPOTHETICAL = re.compile(
    r"\b(?:what (?:happens|would happen) (?:if|when)|what if|why (?:is|must|should|does|do|did|was|were)|is it "
    r"(?:safe|dangerous|legal|illegal|bad|true)"
    r"|how many people|(?:1[5-9]|20)\d\d\b|histor\w+|massacre|war|essay|trial|documentary|plot of|vì sao|tại sao|lịch "
    r"sử|thảm sát|chiến tranh)\b"
)
_PLAYING = re.compile(rf"\b{GAMES}\b")
_FIRST_PERSON = re.compile(r"(?:i|im|i'm|i'll|i’ll|am|gonna|going|tao)\b")


def judge_question(text: str, policy: Policy) -> Verdict:
    """The verdict on a question. `danger` says that the asker is to see help lines, whatever else was found."""
    examined = examine(text, policy.level, policy_lexicons(policy))
    hits = [hit for hit in examined.hits if hit.entry.category != SELF_HARM]
    if hits and policy.level is not Level.STRICT:
        question = _Question(text)
        worst_first = sorted(hits, key=lambda hit: (action_for(hit) is not FilterAction.STOP, hit.start))
        hits = [hit for hit in worst_first[:_MAX_HITS] if question.is_refused_for(hit)]
    danger = find_danger(text, examined.folded)
    listed = next((hit for hit in examined.hits if hit.entry.category == SELF_HARM), None)
    if danger is None and listed is not None and not is_figure_of_speech(text):
        danger = Danger("vi" if listed.entry.rule.startswith("vi:") else "en")
    verdict = judge(hits) if hits else Verdict()
    if danger is None:
        return verdict
    if not hits:
        verdict = Verdict(FilterAction.SUPPORT, SELF_HARM, 2, (), f"{danger.language}:{SELF_HARM}")
    return replace(verdict, support=True, danger=danger)


class _Question:
    """A question, and what speaks for it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._quotes = [match.span() for match in _QUOTED.finditer(text)]
        whole = unicodedata.normalize("NFC", text).lower()
        self._is_report = _REPORTING.search(whole) is not None and not _REQUEST.search(whole)
        self._is_hypothetical = _HYPOTHETICAL.search(whole) is not None
        self._is_play = _PLAYING.search(whole) is not None
        self._asks_for = _ASKED_FOR.search(whole) is not None

    def is_refused_for(self, hit: Hit) -> bool:
        """Whether a hit is a reason to refuse the question."""
        category = hit.entry.category
        if category in (CUSTOM, ALWAYS_BLOCKED):
            return category == CUSTOM or not self._is_report
        before, within, after = self._around(hit)
        if category in PLAYABLE:
            return not self._is_harmless(hit, before, within, after)
        if category == "sexual" and (self._is_report or (self._asks_for and not self._is_quoted(hit))):
            return not self._is_report
        if self._is_mentioned(hit, before, after):
            return False
        return _is_aimed(before, within, after) if category == "profanity" or hit.entry.term else True

    def _around(self, hit: Hit) -> tuple[str, str, str]:
        """What stands before, within and after a hit, in small letters."""
        start, end = max(0, hit.start - _AROUND_CHARACTERS), hit.end + _AROUND_CHARACTERS
        parts = self._text[start : hit.start], self._text[hit.start : hit.end], self._text[hit.end : end]
        before, within, after = (unicodedata.normalize("NFC", part).lower() for part in parts)
        return before, within, after

    def _is_quoted(self, hit: Hit) -> bool:
        return any(start < hit.start and hit.end < end for start, end in self._quotes)

    def _is_mentioned(self, hit: Hit, before: str, after: str) -> bool:
        if hit.mentioned or self._is_quoted(hit):
            return True
        return _MENTION_BEFORE.search(before) is not None or _MENTION_AFTER.match(after) is not None

    def _is_harmless(self, hit: Hit, before: str, within: str, after: str) -> bool:
        """Whether a threat or a dangerous instruction is a game, a report, a warning, or history."""
        if self._is_play or self._is_mentioned(hit, before, after):
            return True
        return (self._is_report or self._is_hypothetical) and not _FIRST_PERSON.match(within)


def _is_aimed(before: str, within: str, after: str) -> bool:
    """Whether a rude word is aimed at somebody."""
    if _AIMED_WITHIN.search(within) or _AIMED_AFTER.match(after) or _AIMED_ORDER.search(before):
        return True
    if _AIMED_BEFORE.search(before):
        return (
            not _VERB_FORM.search(within)
            or _NOUN_AFTER.match(after) is not None
            or before.rstrip().endswith(("the", " of"))
        )
    return not before.strip() and not after.strip(" .!?…\n") and _LONE_INSULT.fullmatch(within) is not None
