"""A hostile chat template is refused soon, whatever it does; a long conversation is rendered."""

import pytest
from jinja2 import TemplateError

from core.llm.chat_template import ChatTemplate
from core.llm.template_limits import BUDGET, MAX_SOURCE_CHARACTERS, TemplateTooCostly
from tests.tables import each_row

MANY = "{% for i in range(70000) %}"
LONG = "{% set a = 'x' * 1000000 %}"
GROWS = "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = "
ENDS = " %}{% endfor %}"
TOO_COSTLY = [
    MANY + MANY + "{% endfor %}{% endfor %}",
    "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% for i in [1, 1] recursive %}{{ loop([1, 1]) if loop.depth < 40 }}{% endfor %}",
    "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "{{ 'x' * 2000000000 }}", "{{ 'x' * (2e9 | int) }}", "{{ 2000000000 * 'x' }}", "{{ [1] * 2000000000 }}",
    "{{ 9 ** 9 ** 9 }}", "{{ 2.0 ** 99999 }}", GROWS.replace("'x'", "2") + "ns.x * ns.x" + ENDS,
    GROWS + "ns.x ~ ns.x" + ENDS, GROWS + "ns.x + ns.x" + ENDS, GROWS + "[ns.x, ns.x]" + ENDS + "{{ ns.x }}",
    GROWS + "(ns.x, ns.x)" + ENDS, GROWS + "{1: ns.x, 2: ns.x}" + ENDS, GROWS + "dict(a=ns.x, b=ns.x)" + ENDS,
    GROWS + "ns.x | replace('x', 'xx')" + ENDS, GROWS + "'%s%s' % (ns.x, ns.x)" + ENDS,
    GROWS + "'{0}{0}'.format(ns.x)" + ENDS, GROWS + "namespace(a=ns.x, b=ns.x)" + ENDS + "{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.a = [ns, ns] %}{{ ns.a }}",
    "{{ '%999999999d' % 1 }}", "{{ '%*d' % (999999999, 1) }}", "{{ '%9999s' | format('x') }}",
    "{{ '{:999999999}'.format(1) }}", "{{ '{:{}}'.format(1, 999999999) }}",
    "{{ 'x' | center(999999999) }}", "{{ 1.5 | round(999999999, 'ceil') }}", "{{ 'x'.center(999999999) }}",
    "{{ 'x'.zfill(999999999) }}", "{{ 'a' | indent(999999999, true) }}",
    "{{ [1] | tojson(indent=999999999) }}", LONG + "{{ a.replace('x', a) }}", LONG + "{{ a | replace('x', a) }}",
    LONG + "{{ a | join(a) }}", LONG + "{{ a.join(a) }}", LONG + "{{ ('%(a)s' * 10000) % {'a': a} }}",
    LONG + MANY + "{{ a }}{% endfor %}", LONG + MANY + "{% if a[1:] %}{% endif %}{% endfor %}",
    LONG + "{% set b = a ~ 'y' %}" + MANY + "{% if a == b %}{% endif %}{% endfor %}",
    LONG + MANY + "{% if 'xy' in a %}{% endif %}{% endfor %}", LONG + MANY + "{{ a.count('xy') }}{% endfor %}",
    LONG + MANY + "{% set b = a | upper %}{% endfor %}", LONG + MANY + "{% if a is in([a]) %}{% endif %}{% endfor %}",
    "{% set a = range(70000) %}" + MANY + "{% if 7.5 in a %}{% endif %}{% endfor %}",
    "{% set a = range(70000) %}" + MANY + "{{ a | sum }}{% endfor %}",
    "{% set a = range(70000) | list %}" + MANY + "{{ a | sort | length }}{% endfor %}",
    MANY + MANY + "{% endfor %}{{ range(70000) | map('string') | join }}{% endfor %}",
    MANY + "x" * 100_000 + "{% endfor %}", "{% set z %}" + MANY + "x" * 100_000 + "{% endfor %}{% endset %}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{{ " + "-" * 50_000 + "1 }}", "x" * (MAX_SOURCE_CHARACTERS + 1),
]  # fmt: skip
NOT_THERE = [
    "{{ '\t'.expandtabs(999999999) }}", "{{ (5).to_bytes(999999999, 'big') }}",
    "{{ lipsum(999999) }}", "{{ range(70000) | slice(999999999) | list }}", "{{ [1] | batch(999999999, 0) | list }}",
]  # fmt: skip


def rendered(source: str, *contents: str) -> str:
    return ChatTemplate(source + "{{ messages[0].content }}", {}).render(
        [{"role": "user", "content": content} for content in contents or ["hi"]]
    )


@pytest.mark.slow
@each_row("source", TOO_COSTLY + NOT_THERE)
def test_a_hostile_template_is_refused(source: str) -> None:
    with pytest.raises(TemplateError if source in NOT_THERE else TemplateTooCostly):
        rendered(source)


@pytest.mark.slow
def test_the_longest_conversation_is_half_of_the_budget() -> None:
    source = (
        "{% set ns = namespace(text='') %}{% for m in messages %}{% if m.role == 'user' and m.content is string %}"
        "{% set ns.text = ns.text ~ '<|im_start|>' + m.role + '\n' + m.content | trim + '<|im_end|>\n' %}"
        "{% endif %}{% endfor %}{{ ns.text }}"
    )
    template = ChatTemplate(source, {})
    text = template.render([{"role": "user", "content": "word " * 4000}] * 25)
    assert text.count("word") == 100_000 and template._environment._left > BUDGET // 2
