"""Answers in which several people speak, or seem to. Where the answer must end stands CUT; without it all is kept.

Anna asks; Bob and a member whose name is Note are in the conversation, too. The template calls people "user".
"""

CUT = "✂"

SPOKEN = "User: Hi\n\nAssistant: Hello\n\nUser: Two teas, please\n\nAssistant: Coming"
SPOKEN_IN_BOLD = "**User:** Hi\n\n**Assistant:** Hello\n\n**User:** Two teas, please\n\n**Assistant:** Coming"
LONG_LINE = " ".join(map(str, range(400)))
LONG = "Robots differ from people.\nThey are made.\nPeople are born.\nThat is all."
BETWEEN = [
    "---", "***", "___", "* * *", "- - -", "=====", "⸻", "☕ 🫖", "### Conversation", "## Hội thoại", "**At the café**",
    "__At the café__", "***At the café***", "☕ **At the café**", "*The café is empty.*", "(The café is empty.)",
    "[Scene: a café]", "*(a café)*", "<br>", "---\n\n### Conversation\n\n---", "### Conversation\n---",
]  # fmt: skip
TITLES = ["### Conversation", "# Hội thoại mẫu", "**At the café**", "☕ **At the café**", "Conversation\n===",
          "At the café\n---"]  # fmt: skip
"""They announce a dialogue as a colon does."""

DIALOGUES = [
    # An answer that begins as a dialogue is one.
    ("two roles", "User: Hello!\nAssistant: Hi"),
    ("two roles, small letters", "user: hello\nassistant: hi\n\nuser: bye"),
    ("two roles in bold", "**User:** Hello!\n\n**Assistant:** Hi!\n\n**User:** Bye!\n\n**Assistant:** Bye!"),
    ("bold, other colon", "**User**: Hello!\n\n**Assistant**: Hi!\n\n**User**: Bye!"),
    (
        "a dialogue with a title",
        "# At the help desk\n\nUser: It does not start.\n\nAssistant: Is it plugged in?\n\nUser: Oh.",
    ),
    (
        "a dialogue that is announced",
        "Sure! Here is one.\n\nUser: Two teas, please.\nAssistant: Coming.\n\nUser: Thanks!",
    ),
    ("a chat log", "Admin: Welcome to the server.\n\nUser: Thanks! Where do I start?\n\nAdmin: In #rules."),
    (
        "a support chat",
        "Support: How can I help?\n\nUser: My screen is black.\n\nSupport: Hold the button.\n\nUser: Works!",
    ),
    (
        "an interview",
        "Interviewer: Why chess?\nAnna: My father taught me.\n\nInterviewer: And now?\nAnna: Now I teach him.",
    ),
    ("an interview with the asker first", "Anna: Why chess?\n\nTom: My father taught me.\n\nAnna: And now?"),
    ("questions and answers", "Q: What is a user?\nA: A person.\n\nQ: And a bot?\nA: A program.\n\nUser: So be it."),
    ("questions and answers in bold", "**Q:** Is it open?\n**A:** Yes.\n\n**Q:** Until when?\n**A:** Five."),
    ("a play", "ROMEO: But soft!\n\nJULIET (aside): Ay me!\n\nROMEO: She speaks.\n\nUser: I like it."),
    ("a play with the bot in it", "Qwentin: Who goes there?\nAnna: A friend.\nQwentin: Pass, friend."),
    ("members talk", "Anna: I think so.\nBob: Me too.\n\nAnna: Then it is settled.\n\nBob: Yes."),
    ("an assistant's own dialogue", "Assistant: How may I help?\nUser: I need a room.\nAssistant: For how long?"),
    ("hội thoại", "Người dùng: Xin chào!\nTrợ lý: Chào bạn!\n\nNgười dùng: Tạm biệt."),
    ("hội thoại có lời dẫn", "Đây là một đoạn hội thoại mẫu.\n\nUser: Xin chào!\nTrợ lý: Chào bạn!\n\nUser: Cảm ơn."),
    ("phỏng vấn", "Phóng viên: Anh bắt đầu từ khi nào?\nNghệ sĩ Minh: Từ năm 1999.\n\nPhóng viên: Còn bây giờ?"),
    ("ở cửa hàng", "Khách hàng: Bao nhiêu một cân?\n\nNgười bán: Ba mươi nghìn.\n\nKhách hàng: Đắt quá!"),
    ("kịch", "**Mẹ:** Con ăn cơm chưa?\n\n**Con:** Con ăn rồi ạ.\n\n**Mẹ:** Ngoan lắm."),
    ("hỏi đáp", "Hỏi: Trợ lý là gì?\nĐáp: Là một chương trình.\n\nHỏi: User là ai?\nĐáp: Là bạn."),
    # What stands between the introduction and the dialogue are no lines of words.
    *(
        (f"behind {between!r}", f"Here's an example conversation:\n\n{between}\n\n{spoken}")
        for between in BETWEEN
        for spoken in (SPOKEN, SPOKEN_IN_BOLD)
    ),
    *((f"a title and {between!r}", f"Sure!\n\n# At the café\n\n{between}\n\n{SPOKEN}") for between in BETWEEN),
    *((f"late, behind {between!r}", f"{LONG}\n\nAn example:\n\n{between}\n\n{SPOKEN}") for between in BETWEEN),
    *((f"late, behind {title!r}", f"{LONG}\n\n{title}\n\n{SPOKEN}") for title in TITLES),
    *((f"late, right behind {title!r}", f"{LONG}\n\n{title}\n{SPOKEN_IN_BOLD}") for title in TITLES[:4]),
    ("behind a table of the roles", f"Here it is.\n\n| role | name |\n|---|---|\n| User | An |\n\n{SPOKEN}"),
    ("behind a rule of stars", f"Sure.\n***\n{SPOKEN}"),
    ("behind a yes", f"Of course!\n\n{SPOKEN}"),
    ("behind a line that says what follows", f"I will write a sample dialogue for you.\n\n{SPOKEN}"),
    ("a long first turn", f"Here's one:\n\nUser: {LONG_LINE}\n\nBot: Wow.\n\nUser: Yes."),
    ("turns in a row", f"{LONG}\n\nQuestions like these:\n\nUser: a\n\nUser: b\n\nUser: c"),
    ("announced, and the user answers", f"{LONG}\n\nFor example:\n\nAssistant: Hello!\n\nUser: Hi!\n\nAssistant: Bye"),
    ("announced, no blank line", f"{LONG}\n\nFor example:\nBot: Hello!\n\nUser: Hi!\n\nBot: Bye!"),
    ("announced, a numbered speaker", f"{LONG}\n\nFor example:\n\nUser 1: Hello!\n\nUser: Hi!"),
    ("announced with a sign", f"{LONG}\n\nVí dụ: 👇\n\n{SPOKEN}"),
    ("announced in bold", f"{LONG}\n\n**Ví dụ về hội thoại:**\n\n{SPOKEN}"),
    ("announced, then prose", f"{LONG}\n\nAn example:\n\n{SPOKEN}\n\nThat was it.\n\nAnother one.\n\nUser: bye"),
    # A false turn is the template's word for the person, after a blank line.
    (
        "a false turn",
        f"The capital is Paris.\nIt lies on the Seine.\nIt is old.\n\n{CUT}User: And of Italy?\n\nAssistant: Rome.",
    ),
    ("a false turn alone", f"Paris.\n\n{CUT}User: thanks!"),
    ("a false turn without words", f"Paris.\n\n{CUT}User:"),
    ("a false turn in bold", f"Paris.\n\n{CUT}**User:** thanks!"),
    ("a false turn in bold, other colon", f"Paris.\n\n{CUT}**User**: thanks!"),
    ("a small false turn", f"Paris.\n\n{CUT}user: thanks!"),
    (
        "một lượt giả",
        f"Đó là Hà Nội.\n\nHà Nội có nhiều hồ.\nHồ Gươm ở giữa.\n\n{CUT}User: còn Huế?\nAssistant: Huế ở miền Trung.",
    ),
    ("a false turn behind a list", f"Do this:\n- one\n- two\n\nThat is all.\n\n{CUT}User: ok"),
    ("a false turn behind code", f"Try it.\n```\nx: 1\n```\nDone.\n\n{CUT}User: ok"),
    ("a false turn after white space", f"Paris.\n \t\n{CUT}User: ok"),
    *((f"a false turn behind {sign}", f"{LONG}\n\n{sign}\n\n{CUT}{SPOKEN}") for sign in ("---", "***", "___", "🎉")),
    ("a false turn behind a sentence and a rule", f"{LONG}\n---\n\n{CUT}User: ok"),
    ("a false turn behind a bold answer", f"**Paris**\n\n{CUT}User: thanks"),
    ("a false turn behind a bold sentence", f"{LONG}\n\n**It is Paris.**\n\n{CUT}User: thanks"),
    ("a false turn behind a bold result", f"{LONG}\n\n**Answer: 42**\n\n{CUT}{SPOKEN}"),
    ("a false turn behind a table", f"The sums:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nDone. Yes.\n\n{CUT}User: thanks"),
    ("a false turn behind a list of bold words", f"{LONG}\n\n- **one**\n- **two**\n\n{CUT}User: thanks"),
    ("a false turn behind the announced words", f"{LONG}\n\nThe fields:\n\nName: An\n\n{CUT}User: thanks"),
    ("a false turn behind the announced code", f"{LONG}\n\nThe code:\n\n```\nUser: x\n```\n\n{CUT}User: thanks"),
    ("a false turn behind code with a heading's sign", f"{LONG}\n\n```py\n# x:\n```\n\n{CUT}User: thanks"),
    ("a false turn behind a time", f"{LONG}\n\nIt is 12:30\n\n{CUT}User: thanks"),
    # Whether its first line leads up to a dialogue or was the answer can't be told: none is cut.
    ("behind any first line", "It is Paris, I think.\n\nUser: And Italy?\n\nAssistant: Rome."),
    ("behind a question", "Hi! How can I help?\n\nUser: What is 2+2?\n\nAssistant: 4"),
    ("sau một dòng", "Thủ đô là Hà Nội nhé.\n\nUser: Còn Ý?\n\nAssistant: Rome."),
    ("a false turn that nobody answers", f"It is Paris, I think.\n\n{CUT}User: And Italy?"),
    ("a false turn behind a space", f"{LONG}\n\n{CUT} User: thanks"),
    ("a false turn with a wide colon", f"{LONG}\n\n{CUT}User：thanks"),
    ("a false turn in bold without a space", f"{LONG}\n\n{CUT}**User:**thanks"),
    ("a false turn of one long line behind a yes", f"Sure!\n\n{CUT}User: {LONG_LINE}"),
    ("a false turn of one long line", f"The capital is Paris.\n\n{CUT}User: {LONG_LINE}"),
    # Otherwise a line is a line.
    ("no blank line", "Sure.\nUser: and then?\nAssistant: no"),
    (
        "a login in a list",
        "Fill in:\n\n* User: your login\n* Password: your password\n\n- User: again\n1. User: and again",
    ),
    ("a login in an item", "1. The form:\n\n   User: your login\n\n   Password: your password"),
    (
        "a login that is announced",
        "The form has two fields. Fill in both of them. Then press Enter.\n\nFields:\n\nUser: your login",
    ),
    ("a quote", "He wrote this. It is short. I kept it.\n\n> User: hello\n>\n> User: again"),
    ("a table", "| who | what |\n|---|---|\n| User: | a person |\n\n| User: | x |"),
    ("YAML in code", "The file:\n\n```yaml\nname: x\n\nuser: admin\npassword: secret\n```\n\nThat is all."),
    ("YAML in tildes", "Save it.\n\n~~~\na: 1\n\nuser: admin\n~~~\n"),
    ("YAML in a list", "1. Save it.\n   ```yaml\n   a: 1\n\nuser: admin\n   ```\n2. Run it."),
    ("YAML after a colon", "One. Two. Three.\n\nFour.\n\nFive.\n\nThe config is:\n\nuser: admin\npassword: secret"),
    ("a chat in code", "Print this:\n\n```\nUser: hi\n\nUser: hello?\n\nAssistant: Hi\n```\n\nDone."),
    ("an address", "See the log. It has one line. Here.\n\nuser:secret@host is refused."),
    ("the word in a line", "Ask the User: he knows.\n\nThe User: he is one."),
    ("a word that begins like one", "Sure.\n\nUsers: three\n\nUseful: yes\n\nuser names: two"),
    ("Note is a member", "Mix it.\nNote: wear gloves.\n\nNote: open a window.\n\n**Note:** call Bob."),
    ("members speak", "I asked them. Both agree. See here.\n\nAnna: yes\n\nBob: yes\n\nBob: really"),
    (
        "Human is no word of this template",
        "Robots differ from people. Look. Two lists.\n\nHuman: warm\n\nAssistant: cold",
    ),
    (
        "người dùng không phải từ của mẫu",
        "Có hai vai. Xem nhé. Dưới đây.\n\nNgười dùng: người hỏi\n\nTrợ lý: người đáp",
    ),
    ("a list of roles", "There are three roles.\n\n**Owner:** all rights.\n\n**Admin:** most.\n\n**Guest:** none."),
    ("roles as a list", "- **User:** reads\n- **Admin:** writes\n\n- **User:** asks"),
    ("Assistant in code", "Call it so:\n\n```python\nprint('Assistant: hi')\n\nAssistant: str\n```"),
    ("a letter", "Dear Bob,\n\nUser experience matters.\n\nYours,\nAnna"),
]
