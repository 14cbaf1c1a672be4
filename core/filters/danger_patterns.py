"""What people in danger of suicide or self-harm write, as patterns of words, in English and Vietnamese; and what looks
alike and is not meant so.

The patterns are for texts as `core/filters/danger.py` normalises them: small letters, no apostrophes, common
misspellings corrected, one space between words, `|` where a sentence or a quotation ends and `,` where a part of one
does. Every repetition is bounded, so a search takes linear time.
"""

import re

from core.filters.tokenize import strip_marks
from core.filters.word_patterns import CLAUSE_START, any_of, at_word_start


# English

_ADVERBS = (
    r"(?:(?:just|really|only|so|fucking|actually|seriously|honestly|truly|finally|also|still|literally|now|kinda|maybe"
    r"|probably|badly|sometimes|always|often|all|to) ){0,3}"
)
_WANT = any_of(
    "want to; wanna; wants to; wanted to; going to; gonna; about to; decided to; decide to; plan to; planning to; "
    "plan on; planning on;"
    "planned to; decided to; ready to; need to; will; ill; might; may; should; must; have to; thinking of;"
    "thinking about; think about; think of; feel like; feeling like; tried to; trying to; try to; want; intend to;"
    "considering; how to; how do i; how can i; ways? to; rather; could; wish to; hope to; deserve to; keep"
)
_MYSELF = any_of(
    "(?:kill|killing|hang|hanging|shoot|shooting|drown|drowning|poison|unalive|unaliving|off|harm|harming|hurt|hurting"
    "|burn|burning|cut|cutting|end|ending|starve|starving|stab) (?:my ?self|me self)(?! (?:shaving|cooking|on|with|in "
    "a));"
    "(?:end|ending|take|taking) my (?:own )?life(?! (?:insurance|savings|jacket|story|time));"
    "(?:end|ending) (?:it all|everything|all this); commit suicide; committing suicide; kms; (?:slit|slitting|cut"
    "|cutting) my wrists?"
)
_DIE = any_of(
    "die; be dead; dying; overdose; overdosing; od; suicide; end it; end things(?! with); ending things(?! with);"
    "disappear forever; cease to exist; stop existing; not exist; jump (?:off|from) (?:a|the|this|my) (?:bridge|roof"
    "|building|balcony|cliff|window)(?! with); jump in front of (?:a|the) (?:train|car|bus|truck)"
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
        rf"\b(?:dont|do not|no longer|not|never|cant|cannot|didnt|doesnt) {_ADVERBS}(?:want|wanna|wish|need"
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
        r"\boverdose on purpose\b|\bwas never born\b|\bnever (?:been )?born\b(?=.{0,40}\bi\b)",
    ]
)
_RELATION = (
    r"(?:friends?|bff|bestie|sister|brother|son|daughter|child|kid|mom|mum|mother|dad|father|wife|husband|girlfriend"
    r"|boyfriend|gf|bf|partner|ex|cousin|roommate|flatmate|classmate|student|colleague|coworker|neighbou?r|teacher|aunt"
    r"|uncle|niece|nephew|grandma|grandpa|grandmother|grandfather|sibling|crush|mate|buddy|client|patient)"
)
_SOMEBODY = (
    rf"\b(?:(?:my|our|his|her|their|a|an|the|this|one of my) (?:\w+ ){{0,2}}{_RELATION}|(?:a|this|some) (?:girl|boy"
    r"|guy|man"
    r"|woman|person|stranger|teen|user)|someone|somebody|he|she|they)\b"
)
_THEMSELVES = r"(?:him|her|them) ?(?:self|selves)"
ENGLISH_OTHER = re.compile(
    rf"{_SOMEBODY}(?: (?!i\b|im\b)[^\s|,]+){{0,7}}? (?:"
    + "|".join(
        [
            r"(?:wants?|wanting|going|gonna|plans?|planning|tried|tries|trying|threatens?|threatened|threatening"
            r"|will|might|wanna)"
            rf" (?:to )?(?:\w+ )?(?:kill|hang|hurt|harm|cut|shoot|drown|end) (?:{_THEMSELVES}|it all|(?:his|her"
            r"|their) life)",
            r"(?:wants?|wanting|wanna|going|plans?) (?:to )?(?:really )?(?:die|jump|overdose|commit suicide|unalive"
            r"|disappear forever)"
            r"(?! (?:in|on|for|of|with|at|laughing)\b)",
            rf"(?:is |are |was |been |keeps |started )?(?:cutting|hurting|harming|killing|burning) {_THEMSELVES}",
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

# Vietnamese

_I = r"(?:toi|tôi|tui|mình|mik|mìk|mk|mh|em|e|con|cháu|tao|t|tau|tớ|ta|anh|chị|mị)"
_NOT = r"(?:không|ko|k|kg|khg|hông|hong|hổng|hok|hem|chẳng|chả|đéo|đếch|hết|chưa từng)"
_MORE = r"(?:(?:chỉ|cũng|rất|thật sự|thực sự|đang|đã|lại|cứ|vẫn|luôn|quá|thật|còn|nhiều lần|hay|từng|vừa) ){0,3}"
_WISH = any_of(
    "muốn; mún; định; sẽ; tính; sắp; đòi; ước; nghĩ đến; nghĩ tới; nghĩ về; nghĩ đến chuyện; nghĩ tới chuyện;"
    "nghĩ đến việc; tìm cách; quyết định; cần"
)
_SUICIDE = any_of(
    "tự tử; tự sát; tự vẫn; tự vận; tự kết liễu; quyên sinh; kết liễu (?:đời|cuộc đời|bản thân|mình);"
    "kết thúc (?:cuộc đời|cuộc sống|tất cả|đời mình|mạng sống|mọi thứ|sự sống); nhảy (?:lầu|cầu|sông|xuống sông|xuống "
    "cầu|từ tầng);"
    "treo cổ; (?:tự )?rạch (?:cổ )?tay; rạch sâu hơn; (?:tự )?cắt (?:cổ )?tay(?! áo); uống thuốc (?:ngủ|sâu|chuột|độc"
    "|tự tử);"
    "tự làm (?:đau|hại) (?:mình|bản thân); biến mất (?:khỏi (?:thế giới|cuộc đời|cõi đời|đời|thế gian)|mãi mãi|vĩnh "
    "viễn);"
    "ngủ mãi(?: không| mà không| luôn)"
)
_MISTYPED = r"(?:tự (?:tư|tữ|tứ|từ)|tư tử|tử tự)(?= ?(?:$|[|,]| (?:quá|thôi|luôn|rồi|cho xong|tối nay|mất|lắm)))"
_DEATH = (
    r"chết(?! (?:cười|vì cười|mê|ngất|khiếp|cha|mẹ|thèm|đói|khát|cóng|nóng|rét|lây|yểu|máy|đuối|người|não|lâm sàng))"
)
VIETNAMESE_SELF = at_word_start(
    [
        rf"\b{_MORE}{_WISH} {_MORE}{_SUICIDE}(?! (?:của|là|ở|trong|thì|hình))",
        rf"\b{_I} {_MORE}{_WISH} {_MORE}(?:{_DEATH}|{_MISTYPED})(?! (?:già|trẻ|như))",
        rf"\b(?:{CLAUSE_START}|(?:mà|thì|nên|và|chỉ|cũng|quá|nữa) )(?:chỉ )?(?:muốn|mún) {_DEATH}(?= ?(?:$|[|,]| (?:quá"
        r"|đi|quách|cho|luôn|rồi"
        r"|thôi|lắm|thật)))",
        rf"\b{_NOT} {_MORE}(?:muốn|mún|thiết|ham|thích) (?:sống|tồn tại)(?! (?:ở|với|trong|chung|tại|cùng|kiểu"
        r"|như|xa|gần|thử|một"
        r" mình|nhờ|bám|ảo|dựa))",
        rf"\b{_I} {_MORE}chán sống(?! thử)|\b{CLAUSE_START}chán sống(?: quá| lắm| rồi)",
        rf"\b{_NOT} (?:còn |có )?(?:một )?(?:lý do|lí do|ý nghĩa|gì|mục đích)(?: gì| nào)?(?: nữa)? để sống",
        r"\bsống (?:để )?làm (?:gì|chi)(?: nữa)?(?= ?(?:$|[|,]| cho))|\bsống không bằng chết|\bsống cũng như "
        r"(?:không|chết)",
        r"\b(?:cuộc sống|cuộc đời|đời)(?: này| tôi| em| mình| của \w+)? ?(?:thật |quá |này |thấy )*(?:vô nghĩa"
        r"|(?:không|chẳng|ko|k|chả)"
        r" (?:đáng sống|còn (?:gì|ý nghĩa)))",
        rf"\b(?:ước|giá|phải chi|giá như|ước gì)(?: mà| gì| như| rằng)? {_I} (?:\w+ ){{0,2}}(?:(?:chưa (?:từng"
        r"|bao giờ)|đừng|không|đã không)"
        r" (?:được |bị )?(?:sinh ra|tồn tại|có mặt)|chết|biến mất)",
        rf"\b(?:mọi người|gia đình|bố mẹ|ba mẹ|ai cũng|cả nhà|thế giới|người ta)(?: [^\s|,]+){{0,6}}? (?:tốt|nhẹ"
        r"|hạnh phúc|vui|khỏe|khoẻ|đỡ|sướng)"
        rf"(?: [^\s|,]+){{0,3}} (?:nếu|khi) (?:không (?:có|còn) {_I}|{_I} (?:chết|biến mất|không còn|không tồn "
        r"tại|đi xa))",
        rf"\b(?:{CLAUSE_START}|{_I} |(?:hay|thà|thôi|chắc) )chết (?:đi|quách)(?: đi)? (?:cho|là) (?:xong|rồi|nhẹ|đỡ"
        r"|khỏe|khoẻ)|\bchết quách",
        r"\b(?:viết|để lại|soạn)(?: \w+){0,2} (?:thư tuyệt mệnh|thư từ biệt|di thư)|\bthư tuyệt mệnh cho (?:tôi"
        r"|em|mình)",
        rf"\b{_I} (?:\w+ )?uống (?:hết|cả|nguyên|sạch)(?: \w+){{0,2}} thuốc",
        rf"\b{_I} (?:\w+ ){{0,2}}(?:đứng|ngồi) (?:ở )?trên (?:thành )?(?:cầu|sân thượng|lan can|nóc nhà|mái "
        r"nhà)(?= ?(?:$|[|,]| (?:và|muốn|"
        r"định|sợ)))",
        r"\b(?:uống|cần)? ?(?:bao nhiêu|mấy|nhiêu) (?:viên|liều|thuốc)(?: \w+){0,3} (?:thì|để|là|mới|sẽ) chết"
        r"|\b(?:viên thuốc|thuốc ngủ) (?:để|"
        r"thì) chết",
        r"\b(?:cách|làm sao(?: để)?|thế nào để) (?:tự tử|tự sát|tự vẫn|chết)(?! (?:của|trong|ở|như))(?: nhẹ nhàng"
        r"| không đau| nhanh)?|\b(?:tự tử|tự"
        r" sát|chết) không đau",
        rf"\b{_I} (?:lại |cứ |vừa |đã |đang |hay |thường |mới ){{0,3}}(?:tự )?(?:rạch|cắt) (?:cổ )?tay(?= ?(?:$|["
        r"|,]| (?:nữa|rồi|mình|để|vì)))",
        r"\bnhảy (?:từ|khỏi) (?:trên )?(?:sân thượng|tầng|cầu|mái|ban công|lan can|cửa sổ|nóc)|\bnghĩ (?:đến|tới"
        r"|về) (?:cái |việc |chuyện )?chết",
        r"\bchết (?:có|thì|chắc) (?:\w+ )?(?:đỡ|hết|nhẹ|đau)(?: \w+)? ?(?:hơn|khổ|không|đau)|\btự (?:tử|sát) "
        r"(?:có đau|kiểu gì|bằng cách|như thế nào|sao cho)",
        rf"\b{_I} (?:\w+ ){{0,2}}(?:uống|nuốt) (?:\d\d+|mấy chục|cả|hết) (?:viên|vỉ|lọ|hộp)",
        rf"\b(?:ước|giá|phải chi)(?: [^\s|,]+){{0,6}} (?:không (?:thức dậy|tỉnh dậy|tỉnh lại|tồn tại|sinh ra)"
        rf"|{_I} (?:chết|biến mất)|chưa từng sinh)",
        rf"\bkhông (?:có|còn) {_I}(?: [^\s|,]+){{0,4}} (?:vui|tốt|nhẹ|hạnh phúc|đỡ|sướng)(?: \w+){{0,2}} hơn",
        rf"\b(?:{_I} |{CLAUSE_START}){_MORE}(?:muốn|mún) {_MORE}(?:ra đi|biến mất|tan biến|chết đi)(?= ?(?:$|[|,]| thôi"
        r"| luôn| quá| cho xong))",
        rf"\b{_I} {_MORE}tự làm (?:đau|hại|tổn thương) (?:mình|bản thân)|\b{_NOT} (?:biết|hiểu) sống (?:để "
        r")?(?:làm gì|vì cái gì|tiếp)",
        rf"\b{_I} (?:đã |từng |có )*(?:ý định|ý nghĩ|suy nghĩ) (?:tự "
        r"tử|tự sát|tự vẫn|muốn chết)",
        rf"\b{_I} {_MORE}(?:tự tử|tự sát)(?= ?(?:đây|nhé|thôi|$))",
        rf"\b{_NOT} (?:thể )?sống (?:nổi|tiếp|được)(?: được)? nữa|\bsống {_NOT} nổi(?: nữa)?|\b{_NOT} còn thiết "
        rf"(?:gì|tha)|\b{_NOT} (?:muốn|mún) (?:thức"
        r" dậy|tỉnh dậy|tỉnh lại|mở mắt)(?: nữa| ngày mai)?(?= ?(?:$|[|,]| nữa| vào))",
        rf"\b{_I} {_MORE}(?:muốn|mún|định|sẽ) {_MORE}(?:buông xuôi|giải thoát|được giải thoát|rời (?:khỏi|bỏ) "
        r"(?:thế giới|cuộc đời|cõi đời|thế gian)"
        r"|ra đi (?:mãi mãi|vĩnh viễn)|đi chết|tan biến|biến mất(?= ?(?:$|[|,]| luôn| thôi)))",
        r"\b(?:ngủ|nằm)(?: \w+){0,3} (?:không|đừng|mãi không|chẳng) (?:bao giờ )?(?:tỉnh|dậy|thức)(?: dậy| "
        r"lại)?|\bvĩnh biệt (?:mọi người|cả nhà|bố mẹ)",
        rf"\b{_I} (?:chỉ |đúng |luôn |thật )?là gánh nặng (?:cho|của)|\b(?:thà )?chết (?:đi |quách )?(?:còn|sướng"
        r"|cho|tốt) (?:hơn|rảnh|khỏe|nhẹ)(?= ?(?:$|[|,]"
        r"| nợ| là| sống))",
        r"\bchết (?:kiểu|cách|bằng cách|thế) (?:gì|nào|sao)(?: \w+){0,2} (?:đau|nhanh|nhẹ)|\bchết (?:có|thì) đau "
        r"không|\b(?:thuốc|uống) gì(?: \w+){0,2} chết"
        r" (?:nhanh|nhẹ|không)|\b(?:tự hại|tự hành hạ|tự làm tổn thương) (?:mình|bản thân|chính mình)",
        rf"\b{_I} (?:có|cầm|đang cầm|đang có) (?:con )?(?:dao|lưỡi lam|dao lam|thuốc ngủ|sợi dây)(?: \w+){{0,3}} "
        r"(?:rạch|cắt|chết|tự|trong tay)",
        rf"\b(?:mai|ngày mai|sau đêm nay|hôm nay)(?: \w+){{0,3}} {_I} (?:sẽ )?(?:không còn (?:nữa|trên đời|tồn "
        r"tại)|chết)",
    ]
)
_KIN = (
    r"(?:bạn|con|em|chị|anh|mẹ|má|bố|ba|cha|vợ|chồng|bồ|cháu|ông|bà|cô|chú|dì|cậu|thằng|đứa|ny|crush|người yêu|em gái"
    r"|em trai|"
    r"con gái|con trai|bạn thân|bạn gái|bạn trai|học trò|học sinh|đồng nghiệp|hàng xóm|bạn cùng lớp|bạn cùng phòng|em "
    r"họ|chị họ|anh họ)"
)
_ANOTHER = (
    rf"\b(?:{_KIN} (?:của )?(?:em|tôi|mình|tớ|tui|con|cháu|anh|chị|mik|tao|nhà em|nhà mình|cùng lớp|thân)|nó|hắn|họ"
    r"|(?:anh|cô|chị|bạn|"
    r"cậu|em|ông|bà) (?:ấy|ta|đó)|ảnh|ổng|bả|(?:có )?(?:người|bạn|đứa) (?:\w+ ){0,3}(?:em|tôi|mình)|(?:có )?(?:người "
    r"yêu|bạn thân|bạn trai|bạn"
    r" gái|em gái|em trai|con gái|con trai|chồng|vợ|bồ|người bạn|một bạn|có người|có bạn))\b(?! ơi)"
)
VIETNAMESE_OTHER = re.compile(
    rf"{_ANOTHER}(?: (?!(?:nên|vì|thì|và|mà|ơi|khiến|làm)\b)[^\s|,]+){{0,6}}? (?:"
    rf"{_MORE}(?:muốn|mún|định|sẽ|tính|sắp|đòi|dọa|doạ|tìm cách|vừa|đang|hay|cứ|nghĩ đến|nghĩ tới) "
    rf"{_MORE}(?:{_SUICIDE}|{_DEATH})"
    rf"|{_NOT} (?:còn )?(?:muốn|mún|thiết) (?:sống|tồn tại)(?! (?:ở|với|trong|chung|tại|cùng))"
    r"|tự (?:rạch|cắt) (?:cổ )?tay|tự làm (?:đau|hại) (?:mình|bản thân)|(?:viết|để lại) (?:thư tuyệt mệnh|thư từ biệt)"
    r"|uống (?:hết|cả|nguyên)(?: \w+){0,2} thuốc|uống thuốc (?:ngủ|sâu|chuột|độc|tự tử))(?! (?:trong|cười|vì cười|bài"
    r"|phim|truyện))"
)
VIETNAMESE_FIGURE = re.compile(
    r"\b(?:nóng|đói|mệt|cười|nhớ|ngại|cay|đẹp|thèm|khát|lạnh|vui|hổ|quê|cỡ|ngon|nhột|ngủ|tức|bực|thương|yêu|ghen|xinh"
    r"|nặng|xa|đắt|lười|khó|ngộp|chật"
    r"|ngon|no|hôi|dễ thương|nhớ (?:em|anh|con|nhà|mẹ|bạn))(?: em| anh| mình| tôi| cậu)? (?:muốn|mún) chết|\bchết "
    r"(?:cười|vì cười|mê)"
    r"|\b(?:cây|máy|xe|điện thoại|laptop|hoa|cá|chó|mèo|pin|wifi|mạng)(?: \w+){0,3} (?:muốn|sắp|đòi) chết"
    r"|\bchết\b[^|]{0,30}(?:\b(?:(?:ha|hi|he|hú|kk|hê)+k?|lol|keke)\b|=\)|:\)|:d\b)"
    r"|\bnhân vật(?: \w+){1,6} chết"
)

TITLE = re.compile(
    r"\b(?:songs?|lyrics|film|movie|book|album|band|poem|episode|track|novel|bài hát|bài thơ|bài|phim|truyện|tác phẩm"
    r"|tập thơ)"
    r"(?: \w+){0,3} [|] [^|]{0,60} [|]|[|] [^|]{0,60} [|] (?:by|của) \w+"
)
"""A quoted title, in either language."""


def _unaccented(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """The same for what is typed without accents, where "tu tu" may also begin "from time to time learn"."""
    plain = strip_marks(pattern.pattern)
    return re.compile(
        re.sub(r"\btu tu\b(?!\))", "tu tu(?= ?(?:$|[|,]| (?:qua|luon|cho xong|toi nay|that|roi|khong dau)))", plain)
    )


VIETNAMESE_SELF_UNACCENTED = _unaccented(VIETNAMESE_SELF)
VIETNAMESE_OTHER_UNACCENTED = _unaccented(VIETNAMESE_OTHER)
VIETNAMESE_FIGURE_UNACCENTED = _unaccented(VIETNAMESE_FIGURE)
