"""Answers of models that showed a fault in some bot, each with the words of it that are only markup."""

ANSWERS = [
    (
        "To install it:\n\n1. **Clone the repository**\n   ```bash\n   git clone https://github.com/foo/bar.git\n"
        "   cd bar\n   ```\n2. **Create a virtual environment**\n   ```bash\n   python -m venv .venv\n"
        "   source .venv/bin/activate\n   ```\n   On Windows use `.venv\\Scripts\\activate`.\n"
        "3. Install the requirements:\n   - core: `pip install -r requirements.txt`\n   - dev:\n     ```bash\n"
        "     pip install -r dev.txt\n     ```",
        "",
    ),
    (
        "| Feature | Python | JavaScript | Rust | Go | Notes |\n|---|---|---|---|---|---|\n"
        "| Typing | dynamic, gradual (`mypy`) | dynamic, TypeScript adds static types | static, strong, infer"
        "red | static, structural interfaces | Rust has the strictest checks |\n"
        "| Concurrency | asyncio, threads with GIL | event loop, workers | async/await with tokio, threads | "
        "goroutines and channels | Go is the simplest |",
        "",
    ),
    (
        "Euler's identity:\n\n\\[\ne^{i\\pi} + 1 = 0\n\\]\n\nand inline \\( a^2 + b^2 = c^2 \\). Also\n\n$$\n"
        "\\begin{aligned}\nf(x) &= x^2 + 2x + 1 \\\\\n     &= (x+1)^2\n\\end{aligned}\n$$",
        "",
    ),
    (
        "Here is the diagram:\n\n![Architecture diagram](https://example.com/img/arch_v2.png)\n\n"
        "And an inline ![icon](https://example.com/i.png) icon, [![badge](https://img.shields.io/x.svg)](http"
        "s://example.com).",
        "",
    ),
    (
        "Use the `<b>` tag: <b>bold</b> or <strong>strong</strong>. Line<br>break, <br/> H<sub>2</sub>O, x<su"
        "p>2</sup>.\n\n<details>\n<summary>Click me</summary>\n\nHidden **content** here.\n\n</details>\n\n"
        "&nbsp;&copy; 2024 &lt;div&gt; AT&T &amp; co",
        "b strong strong br br sub sub sup sup details details summary summary nbsp copy lt gt amp b",
    ),
    (
        "Today:\n\n- [x] Buy milk\n- [ ] Call Mum\n  - [ ] about Sunday\n  - [x] about the car\n"
        "* [X] Done with capital X\n1. [ ] numbered task",
        "x x X",
    ),
    (
        "```python\n"
        "result = some_function(argument_one=1, argument_two='two', argument_three=[1, 2, 3, 4, 5, 6, 7, 8, 9"
        ", 10], argument_four={'key': 'value', 'other': 'thing'}, argument_five=None)\n```",
        "",
    ),
    (
        'To show a fence in Markdown:\n\n~~~markdown\n```python\nprint("hi")\n```\n~~~\n\nor with four ticks:\n\n'
        "````\n```js\nlet a = `x${1}`;\n```\n````",
        "",
    ),
    (
        "**This bold text\ngoes over two lines** and *this italic\n"
        "too*. ***Both bold and italic***, **bold with *italic* inside**, *italic with **bold** inside*, ~~st"
        "ruck~~, __underline or bold__, _under_.",
        "",
    ),
    (
        "1. First item.\n\n   Second paragraph of the first item.\n\n2. Second item:\n\n       indented code\n\n"
        "3. Third item.",
        "",
    ),
    (
        "Part one\n\n---\n\nPart two\n\n***\n\nPart three\n___\nEnd",
        "",
    ),
    (
        "Set `export PATH=$PATH:$HOME/bin`. In shell: echo $USER and $HOME. It costs $20-$30, or US$5.",
        "",
    ),
    (
        "Open C:\\Users\\me\\new_folder\\test.txt and \\\\server\\share.",
        "",
    ),
    (
        "```diff\n- old line\n+ new line\n```",
        "",
    ),
    (
        '### Bài 1: Lời chào\n\n**Xin chào** (*sin chow*) – nghĩa là "Hello".\n\n'
        "1. **Chào anh** – dùng với nam giới lớn tuổi hơn\n2. **Chào chị** – dùng với nữ giới\n"
        '   * ví dụ: *"Chào chị Lan!"*\n\n> 💡 **Mẹo:** Luôn dùng đại từ phù hợp.',
        "",
    ),
    (
        "**Step 1:**Mix the flour.\n**Step 2:** Add water.\n* **Time:** 20 min\n* **Note:**be careful",
        "",
    ),
    (
        "He said **\"hello\"** and *'bye'*. **(parenthesis)**text and text**(x)**. **100%**sure.",
        "",
    ),
    (
        "Here:\n\n```python\ndef f():\n    return 1",
        "",
    ),
    (
        "| Operator | Meaning |\n|---|---|\n| `a \\| b` | bitwise or |\n| `a || b` | logical or |\n"
        "| a &amp; b | <br>break |",
        "br amp",
    ),
    (
        "Ingredients:\n- 200 g flour\n- 2 eggs\nMix all and bake.\n\nThen:\n* a\n+ b",
        "",
    ),
    (
        "> [!NOTE]\n> Useful information.\n\n> [!WARNING]  \n> Danger!",
        "",
    ),
    (
        '```html\n<div class="a">\n  <p>Hi &amp; bye</p>\n</div>\n```',
        "",
    ),
    (
        "```\n  /\\_/\\\n ( o.o )\n  > ^ <\n```\n /\\_/\\\n( o.o )\n > ^ <",
        "",
    ),
    (
        "$$A = \\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}, \\quad \\det A = -2$$",
        "",
    ),
    (
        "Write to me@example.com or visit www.example.com/path_with_under_scores?a=1&b=2#frag_x. File README."
        "md, main.py, node.js.",
        "",
    ),
    (
        "The killer is ||the butler||. a || b in C. ||",
        "",
    ),
    (
        "- `ls` list files\n- `cd dir` change\n- `rm -rf *` **danger**",
        "",
    ),
    ("\n".join(f"- **item{i}**: `value{i}`" for i in range(1, 91)), ""),
    (
        'Before <!-- secret comment --> after.\n\n<script>alert(1)</script>\n\n<div align="center">Centered</div>\n'
        "\n<kbd>Ctrl</kbd>+<kbd>C</kbd>",
        "div div align center kbd kbd kbd kbd",
    ),
    (
        "1\\. Not a list. \\*not bold\\* \\_x\\_ \\# no heading 5 \\> 3, a \\| b, \\`tick\\`",
        "",
    ),
    (
        "Example:\n\n    def f(x):\n        return x\n\nDone.",
        "",
    ),
    (
        '```python\n# comment\nx = """doc\n```not a fence\n"""\n```\nafter',
        "",
    ),
    (
        'Response: `{"status":"ok","data":{"id":1,"items":[1,2,3]}}` and\n\n`multi\nline code`',
        "",
    ),
]
