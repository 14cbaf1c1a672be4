"""The same as `core/filters/danger_patterns.py` in Vietnamese, with accents and without."""

import re

from core.filters.tokenize import strip_marks
from core.filters.word_patterns import CLAUSE_START, any_of, at_word_start

_I = r"(?:toi|tôi|tui|mình|mik|mìk|mk|mh|em|e|con|cháu|tao|t|tau|tớ|ta|anh|chị|mị)"
_NOT = r"(?:không|ko|k|kg|khg|hông|hong|hổng|hok|hem|chẳng|chả|đéo|đếch|hết|chưa từng)"
_MORE = r"(?:(?:chỉ|cũng|rất|thật sự|thực sự|đang|đã|lại|cứ|vẫn|luôn|quá|thật|còn|nhiều lần|hay|từng|vừa) ){0,3}"
_WISH = any_of(
    "muốn; mún; muôn; muón; muống; mướn; định; sẽ; tính; sắp; đòi; ước; nghĩ đến; nghĩ tới; nghĩ về;"
    " nghĩ đến chuyện; nghĩ tới chuyện;"
    "nghĩ đến việc; tìm cách; quyết định; cần"
)
_SUICIDE = any_of(
    "tự tử; tự sát; tự vẫn; tự vận; tự kết liễu; quyên sinh; kết liễu (?:đời|cuộc đời|bản thân|mình);"
    "(?:kết thúc|chấm dứt) (?:cuộc đời|cuộc sống|tất cả|đời mình|mạng sống|mọi thứ|sự sống)(?! (?:độc thân"
    "|hôn nhân|vợ chồng|xa)); nhảy (?:lầu|cầu|sông|xuống sông|xuống "
    "cầu|từ tầng);"
    "treo cổ; (?:tự )?rạch (?:cổ )?tay; rạch sâu hơn; (?:tự )?cắt (?:cổ )?tay(?! áo); uống thuốc (?:ngủ"
    "|(?:trừ )?sâu|chuột|độc"
    "|diệt cỏ|rầy|tự tử); (?:lao|chạy|nhảy) (?:ra đường|vào|ra trước|xuống)(?: \\w+){0,2} (?:xe|tàu"
    "|đường ray)(?: \\w+)? ?(?:đâm|tông|cán)?;"
    "cho (?:xe|tàu) (?:đâm|tông|cán);"
    "tự làm (?:đau|hại) (?:mình|bản thân); biến mất (?:khỏi (?:thế giới|cuộc đời|cõi đời|đời|thế gian)|mãi mãi|vĩnh "
    "viễn);"
    "ngủ mãi(?: không| mà không| luôn)"
)
_MISTYPED = r"(?:tự (?:tư|tữ|tứ|từ)|tư tử|tử tự)(?= ?(?:$|[|,]| (?:quá|thôi|luôn|rồi|cho xong|tối nay|mất|lắm)))"
_DEATH = (
    r"chết(?! (?:cười|vì cười|mê|ngất|khiếp|cha|mẹ|thèm|đói|khát|cóng|nóng|rét|lây|yểu|máy|đuối|người|não|lâm sàng))"
)
SELF = at_word_start(
    [
        rf"\b{_MORE}{_WISH} {_MORE}{_SUICIDE}(?! (?:của|là|ở|trong|thì|hình))",
        rf"\b{_I} {_MORE}{_WISH} {_MORE}(?:{_DEATH}|{_MISTYPED})(?! (?:già|trẻ|như))",
        rf"\b(?:{CLAUSE_START}|(?:mà|thì|nên|và|chỉ|cũng|quá|nữa) )(?:chỉ )?(?:muốn|mún) {_DEATH}(?= ?(?:$|[|,]"
        rf"| (?:quá"
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
        rf"\b(?:{_I} |{CLAUSE_START}){_MORE}(?:muốn|mún) {_MORE}(?:ra đi|biến mất|tan biến|chết đi)(?= ?(?:$|["
        rf"|,]| thôi"
        r"| luôn| quá| cho xong))",
        rf"\b{_I} {_MORE}tự làm (?:đau|hại|tổn thương) (?:mình|bản thân)|\b{_NOT} (?:biết|hiểu) sống (?:để "
        r")?(?:làm gì|vì cái gì|tiếp)",
        rf"\b{_I} (?:đã |từng |có )*(?:ý định|ý nghĩ|suy nghĩ) (?:tự "
        r"tử|tự sát|tự vẫn|muốn chết)",
        rf"\b{_I} {_MORE}(?:tự tử|tự sát)(?= ?(?:đây|nhé|thôi|hụt|$))",
        rf"\b{_I} (?:\w+ )?(?:đã|từng|vừa|mới|sẽ|sắp) (?:tự tử|tự sát|tự vẫn)(?! (?:của|trong|ở|như))",
        r"\b(?:muốn|mún|thà) chết (?:mẹ|cha|bà|moẹ|mịa|con mẹ)(?: nó)? (?:cho rồi|cho xong|đi cho|quách|luôn)",
        rf"\b{_I} (?:\w+ )?uống thuốc ngủ(?: rồi| và| ,|,)*(?: \w+){{0,2}} (?:cả|hết|nguyên|mấy) (?:vỉ|lọ|hộp"
        rf"|chai|gói|viên)",
        rf"\b{_NOT} (?:\w+ ){{0,2}}(?:kiềm|kìm|nhịn|dừng|ngừng|bỏ|cai|thôi)(?: chế)?(?: được)?(?: việc"
        rf"| chuyện)? (?:tự )?(?:cắt|rạch)"
        r" (?:cổ )?tay",
        rf"\b{_I} (?:mà )?chết (?:đi )?(?:thì |chắc |cũng )+(?:\w+ ){{0,2}}{_NOT} ai",
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
    r"con gái|con trai|bạn thân|bạn gái|bạn trai|học trò|học sinh|đồng nghiệp|hàng xóm|bạn cùng lớp"
    r"|bạn cùng phòng|em "
    r"họ|chị họ|anh họ)"
)
_ANOTHER = (
    rf"\b(?:{_KIN} (?:(?:trai|gái|thân|họ|ruột|nuôi|cùng phòng|cùng lớp) )?(?:của )?(?:em|tôi|mình|tớ|tui|con"
    rf"|cháu|anh|chị|mik|tao|nhà em|nhà mình|cùng lớp|thân)|nó|hắn|họ"
    r"|(?:anh|cô|chị|bạn|"
    r"cậu|em|ông|bà) (?:ấy|ta|đó)|ảnh|ổng|bả|(?:có )?(?:người|bạn|đứa) (?:\w+ ){0,3}(?:em|tôi|mình)|(?:có )?(?:người "
    r"yêu|bạn thân|bạn trai|bạn"
    r" gái|em gái|em trai|con gái|con trai|chồng|vợ|bồ|người bạn|một bạn|có người|có bạn))\b(?! ơi)"
)
OTHER = re.compile(
    rf"{_ANOTHER}(?: (?!(?:nên|vì|thì|và|mà|ơi|khiến|làm)\b)[^\s|,]+){{0,6}}? (?:"
    rf"{_MORE}(?:muốn|mún|định|sẽ|tính|sắp|đòi|dọa|doạ|tìm cách|vừa|đang|hay|cứ|nghĩ đến|nghĩ tới) "
    rf"{_MORE}(?:{_SUICIDE}|{_DEATH})"
    rf"|{_NOT} (?:còn )?(?:muốn|mún|thiết) (?:sống|tồn tại)(?! (?:ở|với|trong|chung|tại|cùng))"
    r"|tự (?:rạch|cắt) (?:cổ )?tay|tự làm (?:đau|hại) (?:mình|bản thân)|(?:viết|để lại) (?:thư tuyệt mệnh"
    r"|thư từ biệt)"
    r"|uống (?:hết|cả|nguyên)(?: \w+){0,2} thuốc|(?:có )?(?:ý định|ý nghĩ|suy nghĩ) (?:muốn )?(?:tự tử|tự sát"
    r"|tự vẫn|chết)"
    r"|uống thuốc (?:ngủ|(?:trừ )?sâu|chuột|độc|diệt cỏ|rầy|tự tử))(?! (?:trong|cười|vì cười|bài"
    r"|phim|truyện))"
)
FIGURE = re.compile(
    r"\b(?:nóng|đói|mệt|cười|nhớ|ngại|cay|đẹp|thèm|khát|lạnh|vui|hổ|quê|cỡ|ngon|nhột|ngủ|tức|bực|thương|yêu|ghen|xinh"
    r"|nặng|xa|đắt|lười|khó|ngộp|chật"
    r"|ngon|no|hôi|dễ thương|nhớ (?:em|anh|con|nhà|mẹ|bạn))(?: em| anh| mình| tôi| cậu)? (?:muốn|mún) chết|\bchết "
    r"(?:cười|vì cười|mê)"
    r"|\b(?:cây|máy|xe|điện thoại|laptop|hoa|cá|chó|mèo|pin|wifi|mạng)(?: \w+){0,3} (?:muốn|sắp|đòi) chết"
    r"|\bchết\b[^|]{0,30}(?:\b(?:(?:ha|hi|he|hú|kk|hê)+k?|lol|keke)\b|=\)|:\)|:d\b)"
    r"|\bnhân vật(?: \w+){1,6} chết"
)


def _unaccented(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """The same for what is typed without accents, where "tu tu" may also begin "from time to time learn"."""
    plain = strip_marks(pattern.pattern)
    return re.compile(
        re.sub(r"\btu tu\b(?!\))", "tu tu(?= ?(?:$|[|,]| (?:qua|luon|cho xong|toi nay|that|roi|khong dau)))", plain)
    )


SELF_UNACCENTED = _unaccented(SELF)
OTHER_UNACCENTED = _unaccented(OTHER)
FIGURE_UNACCENTED = _unaccented(FIGURE)
