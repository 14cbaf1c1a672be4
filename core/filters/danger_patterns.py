"""What people in danger of suicide or self-harm write, as patterns of words, in English; and what looks alike and is
not meant so.

The patterns are for texts as `core/filters/danger.py` normalises them: small letters, no apostrophes, common
misspellings corrected, one space between words, `|` where a sentence or a quotation ends and `,` where a part of one
does. Every repetition is bounded, so a search takes linear time.
"""

import re

from core.filters.word_patterns import CLAUSE_START, any_of, at_word_start

_ADVERBS = (
    r"(?:(?:just|really|only|so|fucking|actually|seriously|honestly|truly|finally|also|still|literally|now"
    r"|kinda|maybe"
    r"|probably|badly|sometimes|always|often|all|to) ){0,3}"
)
_WANT = any_of(
    "want to; wanna; wants to; wanted to; going to; gonna; about to; decided to; decide to; plan to; planning to; "
    "plan on; planning on;"
    "planned to; decided to; ready to; need to; will; ill; might; may; should; must; have to; thinking of;"
    "thinking about; think about; think of; feel like; feeling like; tried to; trying to; try to; want; intend to;"
    "considering; tryna; finna; imma; how to; how do i; how can i; ways? to; rather; could; wish to; hope to;"
    " deserve to; keep"
)
_MYSELF = any_of(
    "(?:kill|killing|hang|hanging|shoot|shooting|drown|drowning|poison|unalive|unaliving|off|harm|harming|hurt"
    "|hurting"
    "|burn|burning|cut|cutting|end|ending|starve|starving|stab|offing|top|topping) (?:my ?self"
    "|me self)(?! (?:shaving|cooking|up|on|with"
    "|in a));"
    "(?:end|ending|take|taking) my (?:own )?life(?! (?:insurance|savings|jacket|story|time));"
    "(?:end|ending) (?:it all|everything|all this); commit suicide; committing suicide; kms; (?:slit|slitting|cut"
    "|cutting) my (?:own )?(?:wrists?|arms?|throat)"
)
_DIE = any_of(
    "die; be dead; dying; overdose; overdosing; od; suicide; end it; end things(?! with); ending things(?! with);"
    "disappear forever; cease to exist; stop existing; not exist; jump (?:off|from) (?:a|the|this|my) (?:bridge|roof"
    "|building|balcony|cliff|window)(?! with); (?:jump(?:ing)?|step(?:ping)?|walk(?:ing)?|run(?:ning)?"
    "|throw(?:ing)? my ?self) (?:out )?(?:in front of|under) (?:a|the)"
    " (?:train|car|bus|truck|lorry|tram); jumping (?:off|from) (?:a|the|this|my) (?:bridge|roof|building"
    "|balcony|cliff)(?! with);"
    "(?:drive|crash)(?: my| the| this)?(?: car)? (?:into|off) (?:a|the) (?:tree|wall|bridge|cliff|river|lake)"
)
_HERE = any_of(
    r"live(?! (?:in|with|at|near|there|on|off|next|under|here)\b); be alive; be here any ?more; exist; wake up(?: "
    r"tomorrow"
    "| again| any ?more| ever)?; go on any ?more; keep living; go on living; be around any ?more; continue living"
)
_METHOD = r"(?:pills?|rope|noose|gun|razors?|blades?|knife)"
ENGLISH_SELF = at_word_start(
    [
        rf"\b{_WANT} {_ADVERBS}{_MYSELF}",
        rf"\b(?:im|i am|i keep|keep|started|starting|been|cant stop|i) {_ADVERBS}(?:cutting|hurting|harming"
        r"|burning)"
        r"(?: my ?self(?! (?:shaving|cooking|on|with))| again)",
        rf"\b(?:{CLAUSE_START}|(?:i|im|i am|ive|id|and|but|that|because|so) ){_ADVERBS}{_WANT} {_ADVERBS}{_DIE}\b",
        rf"\b(?:dont|do not|no longer|not|never|cant|cannot|didnt|doesnt|aint) {_ADVERBS}(?:want|wanna|wish"
        rf"|need|tryna|trying"
        r"|deserve)"
        rf" {_ADVERBS}{_HERE}\b",
        r"\b(?:dont|do not) feel like living\b|\b(?:cant|cannot) (?:live|go on)(?: like this)? any ?more\b",
        r"\b(?:no|any|a single|one) (?:good |more )?(?:reason|point|purpose)(?: left)?(?: for me)? (?:to|in|of) "
        r"(?:live|living"
        r"|go on|going on|being alive|be alive|life)\b",
        r"\b(?:whats|what is|is there any) (?:even )?the point (?:of|in) (?:living|life|going on|being alive)\b",
        r"\b(?:isnt|not|aint|hardly|no longer) worth (?:living|it any ?more to live)\b",
        r"\bnothing (?:left |more )?to live for\b",
        r"\bbetter off (?:without me|dead|if i (?:was|were|died|wasnt))\b",
        r"\b(?:happier|better|easier|relieved) if i (?:was|were|wasnt|werent|died|didnt|disappeared|am|were not)\b",
        r"\b(?:no one|nobody|no body) (?:would|will) (?:even )?(?:miss me|notice if i|care if i (?:die|died|am "
        r"gone|was))",
        r"\b(?:wish|hope) i (?:had |have |was |were |could |would |just )*(?:dead|die|never (?:been )?born|never "
        r"wake|not wake"
        r"|disappear)\b",
        r"\b(?:hope|wish) i (?:dont|never|wont|didnt) (?:ever )?wake up\b",
        r"\b(?:tired|sick) of (?:living|being alive|life)\b",
        r"\b(?:written|wrote|writing|write|left|have) (?:me )?(?:my|a|the) (?:goodbye|suicide|farewell) "
        r"(?:letters?|notes?)\b",
        r"\bsuicide note for me\b",
        rf"\b{_METHOD} (?:is |are )?(?:all )?(?:in front of me|in my hands?|ready|next to me|to hang my ?self)",
        r"\b(?:bought|got|have) (?:a|the|some) (?:rope|noose|gun|pills) to\b",
        r"\bi (?:just |have |already )?(?:took|taken|swallowed) (?:all|too many|a bottle of|the whole|a handful "
        r"of|every|lots"
        r" of)(?: of)?(?: my| the)?(?: \w+)? (?:pills?|tablets?|bottle)\b",
        r"\b(?:im|i am|standing|sitting) (?:standing |sitting )?on (?:the|a) (?:\w+ )?(?:bridge|roof|ledge|edge"
        r"|railing|tracks)"
        r" (?:and|,|i|about|ready)",
        r"\bhow (?:many|much) (?:\w+ ){0,4}(?:(?:would|will|could) (?:it take to )?(?:kill me|kill my ?self)"
        r"|(?:to|until i|do i"
        r" need to|should i take to|does it take to) (?:\w+ )?(?:die|overdose|kill my ?self|od))\b",
        r"\b(?:keep|always|constantly|cant stop|been|often|am|im|i) (?:\w+ )?(?:think|thinking|thoughts) (?:about"
        r"|of) (?:suicide"
        r"|dying|death|ending (?:it|things(?! with)|my life|everything)|not being here|being dead)\b",
        r"\b(?:im|i am|i feel|feeling|am feeling|ive been|i get|been) (?:\w+ )?suicidal\b",
        r"\b(?:have|having|had|my) (?:\w+ )?suicidal (?:thoughts|feelings|urges)\b",
        r"\b(?:painless|easiest|quickest|easy|quick|best|peaceful) (?:way|ways|method|methods|suicide)(?: to "
        r"(?:die(?! in)"
        r"|kill (?:my|one|your) ?self|commit suicide|end (?:it|my life)))\b|\bpainless suicide\b",
        r"\b(?:told|tells|telling|asked|begged) me (?:to|i should) (?:just |go )?(?:kys|kill (?:my|your) ?self"
        r"|die|hang (?:my"
        r"|your) ?self|end (?:it|my life))\b",
        r"\b(?:says?|said|wrote|texted)(?: to me)? [|] ?(?:kill yourself|kys) ?[|] (?:and )?i (?:think|will|want"
        r"|cant|should)",
        r"\b(?:cant|cannot) (?:do this|take (?:it|this)|go on|keep going|live like this) any "
        r"?more\b(?=.{0,80}\b(?:last|goodbye"
        r"|die|end|forever|over|sorry|tonight)\b)",
        r"\b(?:cant|cannot) go on living\b|\bmy (?:last|final) (?:night|day) (?:on earth|alive)\b",
        r"\bkill(?:ing)? my ?self(?! (?:laughing|for (?:forgetting|not)|in|over a)\b)|\b(?:hang|hanging) my "
        r"?self(?! (?:a|up|out)\b)",
        r"\bi (?:have |had )?(?:\w+ )?(?:self ?harm|self ?harmed|self ?harming|selfharm)\b|\bi cut (?:again|to "
        r"feel|when i|because|for the"
        r" longest)\b|\burges? to (?:cut|hurt my|harm my|kill my)|\b(?:punish|starve) my ?self(?! with)\b",
        r"\bhow many (?:\w+ ){1,2}(?:do|should|would|must|can) i (?:need to |have to )?(?:take|swallow)(?: \w+)? "
        r"to (?:die|od|overdose)\b",
        r"\b(?:done|finished) with (?:life|living|this life)\b|\b(?:lost|no|have no) (?:the |my )?will to live\b"
        r"|\bhad enough of life\b",
        r"\blife (?:is|has|feels) (?:so |just |completely |totally )?(?:meaningless|pointless|no meaning|not "
        r"worth it|no point)\b",
        r"\b(?:want|wanna|need|wish) (?:to )?(?:it all to end|everything to end|the pain to (?:stop|end|go away)"
        r"|my suffering to end|leave this"
        r" world|go to sleep (?:forever|and never|and not)|sleep (?:forever|and never wake|and not wake)|vanish "
        r"forever|be gone forever)\b",
        r"\bi want (?:it|this|everything|all of it) to (?:be over|end)(?= ?(?:$|[|,]| for good| forever| now| "
        r"tonight))",
        r"\b(?:nobody|no one) (?:cares|would care) (?:if|whether) i (?:live|die|am alive|am dead|lived|died)\b"
        r"|\bburden (?:to|on) (?:everyone|my"
        r" family|everybody|them all|my parents|the world)\b|\bby the time you read this\b|\bthis is my (?:last "
        r"|final )?goodbye\b",
        r"\bi (?:just |have )?(?:took|swallowed|overdosed)(?: on)?(?: \d+| a bottle| a bunch| like \d+)? (?:of "
        r")?(?:\w+ )?(?:pills|tylenol|ibuprofen"
        r"|xanax|tablets|paracetamol|sleeping)\b(?! for)|\bi overdosed\b|\bi (?:have|am holding|hold|got|im "
        r"holding) (?:a|the|my) (?:knife|gun|blade"
        r"|razor)(?: \w+){0,4} (?:my (?:wrist|arm|head|mouth|hand)|myself|end it)",
        r"\bhate (?:being alive|living|that im alive|that i am alive)\b|\b(?:im|i am) going to jump(?= ?(?:$|[|,]"
        r"| off| from| now| tonight))",
        r"\b(?:cant|cannot|can|could|dont want to|not) (?:\w+ )?(?:keep|go on|continue|carry on) living\b",
        r"\b(?:easier|better|happier|better off|relieved|best)(?: \w+){0,2} (?:if i (?:just )?(?:was|were|wasnt"
        r"|werent|died"
        r"|didnt|disappeared|am|killed|had never)|without me)\b",
        r"\b(?:use it on|do something (?:bad|stupid|terrible) to) my ?self\b|\blet me die\b|\bready to die\b",
        r"\b(?:notice|care|miss me|cry)(?: \w+)? (?:if|when) i (?:\w+ )?(?:died?|disappear\w*|was gone|were gone"
        r"|am gone)\b",
        r"\b(?:im|i am|standing|sitting) (?:\w+ )?(?:at|on) (?:the|a) (?:edge|ledge|top|railing) of (?:a|the|this"
        r"|my) (?:roof"
        r"|building|bridge|cliff)\b|\bgood ?bye (?:everyone|world|forever|cruel world)\b",
        r"\bi (?:\w+ )?(?:took|swallowed|taken|swallow) (?:a|the|my) (?:\w+ )?(?:bottle|handful|bunch|box|pack) "
        r"of\b",
        r"\bwish i (?:didnt|did not|wasnt|was not|werent|dont) (?:exist|alive|here|born|ever born)\b",
        r"\b(?:thinking|think|thought) (?:about|of) ending it(?! with)\b|\bhow (?:do i|to|can i) (?:tie|make) a "
        r"noose\b",
        r"\bdie (?:from|of|if i) (?:taking|take|swallow\w*|took) \d+\b|\b(?:relapsed|i)(?: and)?(?: i)? self "
        r"?harmed\b",
        r"\b(?:dont|cant|cannot|do not) (?:\w+ )?(?:see|have|find|got|think of) (?:a|any|one)(?: single| good)? "
        r"(?:reason|point)(?:"
        r" left)? (?:to|in|for) (?:live|living|go on|going on|stay alive|keep going|staying alive|being alive)\b",
        r"\b(?:i|ive) (?:\w+ ){0,2}(?:attempted|attempting|contemplat\w+|consider\w+|thought about|planned|plan) "
        r"(?:suicide"
        r"|to commit suicide|my (?:own )?suicide|my (?:own )?death)\b",
        r"\b(?:want|wanna|wish) (?:to )?(?:stop (?:living|breathing|being alive)|be gone(?= ?(?:$|[|,]| forever))"
        r"|be with"
        r" (?:my|him|her) \w+ in heaven)\b|\b(?:dont|do not) care if i (?:live|die|wake up)\b|\bwouldnt mind "
        r"dying\b",
        r"\bi (?:\w+ )?(?:cut|burn|burned|burnt|hurt|harmed|scratched|stabbed) my ?self"
        r"(?! (?:again )?(?:while |by |when )?(?:shaving|cooking|chopping))(?: \w+)? (?:again"
        r"|on purpose|every|to feel"
        r"|to punish|because i (?:hate|deserve|feel))",
        rf"\b(?:have|got|bought|holding) (?:a|the|my|some) (?:\w+ )?{_METHOD}(?: \w+){{0,7}} (?:use (?:it|them)"
        rf"|end it)"
        r"(?= ?(?:$|[|,]| tonight| today| tomorrow| now| soon| on my))",
        r"\bi (?:\w+ )?(?:took|swallowed|taken|drank) (?:all|every one of"
        r"|the rest of)(?: of)?(?: (?!the\b)\w+){0,3} (?:pills|tablets"
        r"|meds|medication|sleeping pills|bleach)\b",
        r"\boverdose on purpose\b|\bwas never born\b|\bnever (?:been )?born\b(?=.{0,40}\bi\b)",
    ]
)
_RELATION = (
    r"(?:friends?|bff|bestie|sister|brother|son|daughter|child|kid|mom|mum|mother|dad|father|wife|husband|girlfriend"
    r"|boyfriend|gf|bf|partner|ex|cousin|roommate|flatmate|classmate|student|colleague|coworker|neighbou?r"
    r"|teacher|aunt"
    r"|uncle|niece|nephew|grandma|grandpa|grandmother|grandfather|sibling|crush|mate|buddy|client|patient)"
)
_SOMEBODY = (
    rf"\b(?:(?:my|our|his|her|their|a|an|the|this|one of my) (?:\w+ ){{0,2}}{_RELATION}|(?:a|this|some) (?:girl|boy"
    r"|guy|man"
    r"|woman|person|stranger|teen|user)|someone|somebody|he|she|they|hes|shes|theyre|hell|shell|theyll)\b"
)
_THEMSELVES = r"(?:him|her|them) ?(?:self|selves)"
ENGLISH_OTHER = re.compile(
    rf"{_SOMEBODY}(?: (?!i\b|im\b)[^\s|,]+){{0,7}}? (?:"
    + "|".join(
        [
            r"(?:wants?|wanting|going|gonna|plans?|planning|tried|tries|trying|threatens?|threatened|threatening"
            r"|will|might|wanna|hell|shell|theyll|says? to|gon)"
            rf" (?:to )?(?:\w+ )?(?:kill|hang|hurt|harm|cut|shoot|drown|stab|off|top|end) (?:{_THEMSELVES}"
            rf"|it all|(?:his|her"
            r"|their) life)",
            r"(?:wants?|wanting|wanna|going|plans?) (?:to )?(?:really |just |disappear and )?(?:die|be dead"
            r"|jump|overdose|commit suicide|unalive"
            r"|disappear forever)"
            r"(?! (?:in|on|for|of|with|at|laughing)\b)",
            rf"(?:is |are |was |been |keeps |started )?(?:cutting|hurting|harming|killing|burning) {_THEMSELVES}",
            r"(?:cutting|slitting|slit|cuts) (?:his|her|their) (?:own )?(?:wrists?|arms?|throat)",
            rf"(?:hurts?|cuts?|harms?|burns?|cut|harmed|burned) {_THEMSELVES} (?:again|on purpose|every|when"
            rf"|because)",
            r"wish(?:es|ed)? (?:he|she|they) (?:was|were|could be) (?:dead|never born)",
            r"wish(?:es|ed)? (?:he|she|they) (?:had |was |were )?(?:never (?:been )?born|never woke up|could die)",
            rf"(?:talk|talks|talking|think|thinks|thinking|thoughts|posting|joking) (?:about|of) (?:(?:killing"
            rf"|hanging|harming"
            rf"|hurting|shooting|topping|offing|ending) {_THEMSELVES}|suicide|dying|ending it(?: all)?"
            r"|(?:ending|taking) (?:his|her|their) (?:own )?life)",
            r"(?:overdosed on purpose|(?:has |just )overdosed|attempted suicide)",
            r"(?:doesnt|dont|does not|do not|not) want to (?:live|be alive|be here)(?! (?:in|with|at|near|on)\b)",
            r"(?:is|are|was|feels?|seems?|been|s|becoming) (?:\w+ )?suicidal",
            r"(?:is |are )?(?:taking|take) (?:his|her|their) (?:own )?life",
            r"(?:wrote|writing|left|has written) (?:a|his|her|their) (?:suicide|goodbye) (?:note|letter)s?",
            r"(?:took|swallowed|has taken) (?:all|too many|a bottle of|the whole)(?: of)?(?: (?:his|her|their|the))? "
            r"?(?:\w+ )?(?:pills"
            r"|tablets|bottle)",
            r"(?:is |are )?(?:standing |sitting )?on (?:a|the) (?:bridge|roof|ledge)(?: \w+){0,3} jump",
        ]
    )
    + r")\b"
)
ENGLISH_FIGURE = re.compile(
    r"\b(?:die|dying|dead) (?:of|from) (?:embarrassment|laughter|laughing|boredom|cringe|shame|hunger|heat|cuteness"
    r"|happiness"
    r"|jealousy|thirst|shock|excitement|awkwardness|joy)|\b(?:die|dying|dead) (?:laughing|inside laughing)|\bdie on "
    r"(?:this|that"
    r"|the|a) hill|\b(?:die|dead)\b[^|]{0,40}\b(?:lol|lmao|lmfao|rofl|xd|(?:ha){2,}h?|hehe)\b|\b(?:lol|lmao|rofl) i"
    r"|\b(?:id|i would|would) rather die than|\bmy (?:own )?life (?:insurance|savings|story)\b"
    r"|\bdie (?:in|at) (?:the )?(?:game|minecraft|dark souls|elden ring|chess|round)"
)
TITLE = re.compile(
    r"\b(?:songs?|lyrics|film|movie|book|album|band|poem|episode|track|novel|bài hát|bài thơ|bài|phim|truyện|tác phẩm"
    r"|tập thơ)"
    r"(?: \w+){0,3} [|] [^|]{0,60} [|]|[|] [^|]{0,60} [|] (?:by|của) \w+"
)
"""A quoted title, in either language."""
