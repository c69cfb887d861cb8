"""Write jinja.jsonl: constructs of Jinja as chat templates use them, and what transformers' environment makes of each.

usage: jinja.py OUT.jsonl   (needs the PyPI packages jinja2 and transformers, and glibc for strftime)

A row has a template and the text it makes, or "error" where Python raises. Rows of DIFFERENCES also have what skiplens
makes of it, and why that differs.
"""

import copy
import datetime
import json
import re
import sys

import transformers.utils.chat_template_utils as chat_templates

# The moment at which the test renders.
NOW = datetime.datetime(2024, 2, 5, 3, 4, 9, 123)

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Hi <b>é</b> 'x' \"y\" \n"},
    {"role": "assistant", "content": "One\n\nTwo"},
]

# Variables that a construct finds if it names them.
VARIABLES = {
    "d": "{'b': 2, 'a': 1.5, 'n': none, 't': true}",
    "l": "[3, 1, 2]",
    "s": "'Hello, World'",
    "u": "[{'name': 'bob', 'age': 3}, {'name': 'Al', 'age': 3}, {'name': 'cy', 'age': 1}]",
}

TOJSON = [
    "d|tojson",
    "d|tojson(indent=4)",
    "d|tojson(indent=2, sort_keys=true)",
    "d|tojson(sort_keys=true)",
    "d|tojson(separators=(',', ':'))",
    "d|tojson(indent=1, separators=(' , ', ' : '))",
    "d|tojson(indent='\\t')",
    "l|tojson(indent=0)",
    "d|tojson(indent=none)",
    "messages|tojson(indent=2)",
    "messages[1]|tojson(ensure_ascii=true)",
    "'é\\u2028😀\\x00\\x1f\\x7f<>&'|tojson",
    "'é\\u2028😀\\x00\\x1f\\x7f<>&'|tojson(ensure_ascii=true)",
    "'é'|tojson(true)",
    "'a\"b\\\\c\\n\\r\\t\\b\\f/'|tojson",
    "{1: 2, none: 3, true: 4, 1.5: 5}|tojson",
    "[[], {}, [[]], {'a': []}]|tojson(indent=2)",
    "(1, 2)|tojson",
    "[1.0, 1e16, 1e-5, 1e22, 123456789.125, -0.0]|tojson",
    "[1e308 * 10, -1e308 * 10]|tojson",
    "nothing|tojson",
    "range(3)|list|tojson",
    "range(3)|tojson",
    "namespace(a=1)|tojson",
    "{(1, 2): 3}|tojson",
    "{1: 2, 'a': 3}|tojson(sort_keys=true)",
]

PERCENT = [
    "'%s' % 'x'",
    "'%s and %s' % ('x', 1)",
    "'%s' % [1, 'a']",
    "'%s' % {'a': 1}",
    "'%(a)s %(b)05d' % {'a': 'x', 'b': 42}",
    "'%d %i %u' % (42, -42, 4.9)",
    "'%5d|%-5d|%05d|%+d|% d' % (42, 42, 42, 42, 42)",
    "'%x %X %o %#x %#o %#X' % (255, 255, 8, 255, 8, 255)",
    "'%.5d|%8.5d|%-8.5d|%08.5d' % (42, 42, 42, 42)",
    "'%f %.2f %10.3f %-10.1f| %+.0f %#.0f' % (3.14159, 3.14159, 3.14159, 3.14159, 2.5, 2.5)",
    "'%e %.2E %g %G %g %g %#g' % (12345.678, 0.00012, 1e-5, 1e20, 100000, 1000000, 1.0)",
    "'%g %g %.3g %g' % (0.0001, 123456789, 1234.5, 0)",
    "'%r %a %s' % ('é\\n', 'é\\n', 'é')",
    "'%c%c' % (65, 'é')",
    "'%.3s|%10s|%-10s|%10.2s' % ('abcdef', 'ab', 'ab', 'abc')",
    "'%*d %-*d| %.*f' % (5, 42, 5, 42, 2, 3.14159)",
    "'100%% of %s' % 1",
    "'%s' % none",
    "'%s' % true",
    "'%s' % nothing",
    "'%s' % ()",
    "'%s' % (1, 2)",
    "'%d' % 'x'",
    "'%x' % 1.5",
    "'%q' % 1",
    "'%' % 1",
    "'%(a)s' % {'b': 1}",
    "'%(a' % {'b': 1}",
    "'plain' % 1",
    "'plain' % {'a': 1}",
    "'%s'|format('x')",
    "'%(x)s'|format(x=1)",
    "'%06.2f' % -1.5",
    "'%f' % (1e308 * 10)",
    "'%5s|%-5s|%05d' % (none, true, false)",
    "'%d' % 1e15",
    "'%ld' % 5",
    "'%5%' % ()",
    "'%.*f|%-*s|' % (1, 2.25, 4, 'a')",
]

BRACES = [
    "'{} {}'.format(1, 'a')",
    "'{1} {0} {a}'.format(1, 2, a=3)",
    "'{0[a]} {0.a} {1[0]}'.format({'a': 1}, [5])",
    "'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')",
    "'{:5}|{:05}|{:+}|{:,}|{:_}'.format(42, 42, 42, 1234567, 1234567)",
    "'{:x} {:#X} {:b} {:#o} {:c}'.format(255, 255, 5, 8, 65)",
    "'{:.2f} {:10.1f} {:e} {:g} {:%} {:.1%}'.format(3.14159, 3.14159, 12345.678, 0.00001, 0.5, 0.123)",
    "'{:012,}|{:010,.2f}'.format(1234567, 1234.5)",
    "'{!r} {!s} {!a}'.format('é', 'é', 'é')",
    "'{{}} {}'.format(1)",
    "'{:{}}|'.format('a', 5)",
    "'{:.3}|{:5.1}|'.format('abcdef', 'xyz')",
    "'{}'.format(none) ~ '{}'.format(true) ~ '{}'.format([1, 'a'])",
    "'{:5}|'.format(true)",
    "'{'.format(1)",
    "'{} {0}'.format(1)",
    "'{2}'.format(1)",
    "'{a}'.format(b=1)",
    "'{:d}'.format('a')",
    "'{a}'.format_map({'a': 7})",
    "'{:.3}|{:.10}|{}'.format(1.0, 3.14159, 1.5)",
    "'{:>{w}.{p}f}'.format(2.71828, w=8, p=2)",
    "'{:.0}|{:.1}|{:.2}|{:.5}|{:#.3g}'.format(1.5, 2.5, 123.4, 1e10, 1.0)",
    "'{:,x}'.format(255)",
    "'{!r:,}'.format(255)",
    "'{:05}|{:<05}|{:=+6}|{:^05}'.format('a', 42, 42, 1.5)",
]

METHODS = [
    "s.rsplit(',')",
    "s.rsplit('l', 1)",
    "'  a  b c '.rsplit()",
    "'  a  b c '.rsplit(none, 1)",
    "'  a  b c '.split(none, 1)",
    "'a,b,,c'.split(',')",
    "'a,b,,c'.split(',', 2)",
    "'a,b'.split(sep=',', maxsplit=1)",
    "''.split() ~ ''.split(',')",
    "'a'.split('')",
    "s.partition(', ')",
    "s.partition('x')",
    "s.rpartition('o')",
    "s.rpartition('x')",
    "s.partition('')",
    "'42'.zfill(5) ~ '|' ~ '-42'.zfill(5) ~ '|' ~ '+4'.zfill(4) ~ '|' ~ 'abc'.zfill(2)",
    "s.upper() ~ s.lower() ~ s.swapcase() ~ 'hELLO wORLD'.capitalize() ~ \"they're bill's\".title()",
    "'xxaxx'.strip('x') ~ 'xxaxx'.lstrip('x') ~ '|' ~ 'xxaxx'.rstrip('x')",
    "' \\t a\\n '.strip() ~ '|'",
    "s.startswith('Hello') ~ s.startswith(('x', 'H')) ~ s.startswith('lo', 3) ~ s.endswith('d', 0, -1)",
    "s.find('o') ~ s.rfind('o') ~ s.find('z') ~ s.find('o', 5) ~ s.index('W') ~ s.count('l') ~ s.count('')",
    "s.index('z')",
    "s.replace('l', 'L') ~ s.replace('l', 'L', 1) ~ 'ab'.replace('', '-')",
    "'a\\nb\\r\\nc\\n'.splitlines() ~ 'a\\nb\\n'.splitlines(true)",
    "'ab'.center(7, '*') ~ 'ab'.center(6) ~ 'abc'.center(6, '-') ~ 'ab'.ljust(4, '.') ~ 'ab'.rjust(4)",
    "'a\\tbc\\td'.expandtabs(4)",
    "', '.join(['a', 'b'])",
    "', '.join([1, 2])",
    "'-'.join('abc') ~ ','.join({'x': 1, 'y': 2})",
    "'prefix-x'.removeprefix('prefix-') ~ 'x.txt'.removesuffix('.txt') ~ 'x'.removeprefix('y')",
    "'abc'.isalpha() ~ '12'.isdigit() ~ 'a1'.isalnum() ~ ' '.isspace() ~ 'ab'.islower() ~ 'AB'.isupper() ~ 'Ab Cd'.istitle() ~ ''.isalpha()",
    "'1.5'.isnumeric() ~ 'a_b'.isidentifier() ~ 'é'.isascii() ~ '٣'.isdecimal()",
    "'ß'.upper() ~ 'ß'.capitalize() ~ 'ΑΣ'.lower() ~ 'İ'.lower()|length",
    "d.items()",
    "d.keys()",
    "d.values()|list",
    "d.get('a') ~ d.get('z') ~ d.get('z', 7)",
    "d.copy() == d",
    "[1, 2, 1].count(1) ~ [1, 2].index(2)",
    "[1, 2].index(3)",
    "(5).bit_length() ~ (1.0).is_integer()",
    "l.append(4)",
    "d.update({'x': 1})",
    "d.pop('a')",
    "s.nothing",
    "s.nothing()",
    "s.__class__",
    "s.__class__.__mro__",
]

FILTERS = [
    "u|join(', ', attribute='name')",
    "u|join(attribute='age')",
    "[1, none, true, 1.5]|join('-')",
    "[]|join(',') ~ nothing|join",
    "d|join(',')",
    "s|length ~ l|count ~ d|length ~ nothing|length",
    "5|length",
    "'  a '|trim ~ 'xax'|trim('x')",
    "s|upper ~ s|lower ~ 'a b-c (d [e <f'|title ~ 'aBC'|capitalize",
    "s|replace('l', 'L') ~ s|replace('l', 'L', 2)",
    "12321|replace(2, 'x')",
    "'a\\nb\\n\\nc'|indent",
    "'a\\nb\\n\\nc\\n'|indent(2, true)",
    "'a\\nb\\n\\nc'|indent(2, blank=true)",
    "'a\\nb'|indent('> ', first=true) ~ ''|indent(2) ~ '\\n'|indent(2)",
    "'abc'|first ~ 'abc'|last ~ []|first ~ l|first ~ l|last ~ d|first ~ d|last",
    "l|sort ~ l|sort(reverse=true) ~ ['b', 'A', 'c']|sort ~ ['b', 'A', 'c']|sort(case_sensitive=true)",
    "u|sort(attribute='age')|map(attribute='name')|list",
    "u|sort(attribute='age,name')|map(attribute='name')|join(' ')",
    "[1, 'a']|sort",
    "l|min ~ l|max ~ l|sum ~ []|max ~ []|sum ~ ['b', 'A']|min",
    "u|sum(attribute='age') ~ (u|max(attribute='age')).name ~ [1.5, 2]|sum ~ [[1], [2]]|sum(start=[])",
    "l|reverse|list ~ 'abc'|reverse ~ d|reverse|list",
    "[1, 2, 1, 'a', 'A']|unique|list",
    "range(7)|batch(3)|list ~ range(4)|batch(3, 'x')|list",
    "range(7)|slice(3)|list ~ range(7)|slice(3, 'x')|list ~ []|slice(2)|list",
    "u|groupby('age')|list",
    "{% for k, v in u|groupby('age') %}{{ k }}:{{ v|length }} {% endfor %}",
    "{% for g in u|groupby('name') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}",
    "d|dictsort ~ {'b': 1, 'A': 2}|dictsort ~ {'b': 1, 'A': 2}|dictsort(true) ~ {'b': 1, 'A': 2}|dictsort(by='value', reverse=true)",
    "d|items|list ~ nothing|items|list",
    "d|list ~ 'abc'|list ~ (1, 2)|list",
    "u|selectattr('age', 'equalto', 3)|map(attribute='name')|list",
    "u|rejectattr('age', 'eq', 3)|list",
    "u|selectattr('zip')|list ~ u|rejectattr('zip', 'defined')|list|length",
    "l|select('odd')|list ~ l|reject('gt', 1)|list ~ [0, 1, '']|select|list",
    "['a', 'b']|map('upper')|list ~ [[1, 2], [3]]|map('join', '-')|list ~ [{'a': {'b': 1}}]|map(attribute='a.b')|list",
    "[{'a': 1}, {}]|map(attribute='a', default='-')|list ~ ['x']|map('replace', 'x', 'y')|first",
    "l|map('nothing')|list",
    "nothing|default('x') ~ ''|default('x') ~ ''|default('x', true) ~ none|d('x') ~ nothing|default",
    "'42'|int ~ '4.7'|int ~ 'x'|int ~ 'x'|int(-1) ~ 4.7|int ~ true|int ~ '0x1f'|int(0, 16) ~ '1_000'|int ~ ' 5 '|int",
    "none|int ~ [1]|int ~ nothing|default('3')|int",
    "nothing|int",
    "'1.5'|float ~ 'x'|float ~ 3|float ~ '1e3'|float ~ 'x'|float(2.5)",
    "2.5|round ~ 3.5|round ~ 2.675|round(2) ~ 42|round ~ 1234|round(-2) ~ 2.1|round(0, 'ceil') ~ 2.19|round(1, 'floor')",
    "-5|abs ~ -1.5|abs",
    "1|filesizeformat ~ 999|filesizeformat ~ 1000|filesizeformat ~ 123456789|filesizeformat ~ 2048|filesizeformat(true)",
    "'<a href=\"x\">'|escape ~ \"'&\"|e",
    "'a b/c?é=1'|urlencode ~ {'a b': 'c/d', 'e': 1}|urlencode",
    "'a-b c_d, e'|wordcount",
    "'Lorem ipsum dolor sit amet'|truncate(11) ~ 'Lorem ipsum dolor sit amet'|truncate(11, true) ~ 'Lorem ipsum'|truncate(9) ~ 'Lorem ipsum dolor'|truncate(9, leeway=0, end='…')",
    "'The quick brown fox jumps over well-known dogs'|wordwrap(12) ~ '|' ~ 'abcdefghij k'|wordwrap(4) ~ '|' ~ 'abcdefghij k'|wordwrap(4, false)",
    "'a'|center(5) ~ '|' ~ 5|string ~ 'x'|safe ~ ('a'|attr('upper'))()",
    "s|nothing",
    "d|length|string + 'x'",
    "messages|selectattr('role', '==', 'user')|list|length ~ messages|map(attribute='role')|unique|join(',')",
    "messages|selectattr('role', 'in', ['user', 'system'])|map(attribute='role')|list",
    "'%s-%s'|format(1, 2)",
]

TESTS = [
    "1 is odd ~ 2 is even ~ 6 is divisibleby 3 ~ 6 is divisibleby(4)",
    "x is defined ~ s is defined ~ x is undefined ~ x is not defined",
    "none is none ~ x is none ~ s is string ~ 1 is string ~ d is mapping ~ l is sequence ~ s is sequence ~ d is sequence",
    "1 is number ~ 1.5 is number ~ true is number ~ 1 is integer ~ true is integer ~ 1.5 is float ~ true is boolean",
    "true is true ~ 1 is true ~ false is false ~ 'a' is lower ~ 'A' is upper ~ 'a1' is lower ~ '1' is lower",
    "l is iterable ~ 5 is iterable ~ x is iterable ~ d.items() is iterable ~ range is callable ~ s is callable",
    "1 is eq 1 ~ 1 is ne 2 ~ 1 is lt 2 ~ 1 is ge 2 ~ 1 is in [1, 2] ~ 'a' is in 'abc' ~ 3 is not in [1]",
    "'upper' is filter ~ 'nope' is filter ~ 'odd' is test ~ none is sameas none ~ 1 is sameas true",
    "1 is nothing",
    "not x is defined ~ (not s is defined) ~ 1 + 1 is odd",
    "d.items() is sequence ~ d.items() is mapping ~ (1, 2) is sequence ~ namespace() is iterable",
]

EXPRESSIONS = [
    "1 + 2 * 3 - 4 / 2 ~ 7 // 2 ~ -7 // 2 ~ 7 % 3 ~ -7 % 3 ~ 2 ** 3 ~ 2 ** -1 ~ 2 ** 3 ** 2",
    "7.5 // 2 ~ -7.5 % 2 ~ 1e3 ~ 1.0 ~ 0.1 + 0.2 ~ 1e16 ~ 1e-5 ~ 10 / 4 ~ 4 / 2",
    "1_000 ~ 0x1F ~ 0b101 ~ 0o17 ~ 1.5e3 ~ 1e100",
    "1 // 0",
    "1 / 0",
    "5 % 0",
    "1.0 % 0",
    "0 ** -1",
    "'a' * 3 ~ 3 * 'b' ~ [1] * 2 ~ (1,) * 2 ~ 'a' * -1 ~ true + 1",
    "[1] + [2] ~ (1,) + (2,)",
    "[1] + (2,)",
    "'a' + 1",
    "1 + 'a'",
    "'a' + none",
    "x + 1",
    "-s",
    "'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'b'] ~ x ~ {'k': 'v'} ~ (1,) ~ ()",
    "1 < 2 < 3 ~ (1 < 2 > 3) ~ (1 == 1.0) ~ (true == 1) ~ ('a' < 'b') ~ ([1, 2] < [1, 3]) ~ (1 != 2) ~ (x == y)",
    "1 < 'a'",
    "none < 1",
    "x < 1",
    "1 in [1, 2] ~ ('l' in s) ~ ('a' in d) ~ (3 not in l) ~ (1 in x) ~ ('b' in 'abc')",
    "1 in 5",
    "1 in 'a'",
    "'' or 'x' ~ (0 and y) ~ (1 and 2) ~ (none or false) ~ (not 1) ~ (not '')",
    "'y' if 1 else 'n' ~ ('y' if 0) ~ ('a' if 0 else 'b' if 0 else 'c')",
    "[1, 2, 3][0] ~ [1, 2][-1] ~ [1][5] ~ 'abc'[1] ~ 'abc'[-1] ~ 'abc'[9] ~ d['a'] ~ d['z'] ~ d.a ~ d.z",
    "'abcdef'[1:3] ~ 'abcdef'[::-1] ~ 'abcdef'[-2:] ~ 'abcdef'[::2] ~ [1, 2, 3][:2] ~ [1, 2, 3][5:] ~ (1, 2, 3)[1:] ~ 'abc'[10:0:-1]",
    "'abc'[::0]",
    "d[1:2]",
    "(1).x[1:2]",
    "d['b'].x",
    "x.y",
    "x['y']",
    "x.y is defined",
    "l.0 ~ l[1] ~ u[0].name ~ u[0]['name'] ~ u.0.name",
    "range(5)|list ~ range(1, 5)|list ~ range(5, 0, -2)|list ~ range(3) ~ range(1, 9, 2)[1:] ~ range(3)[-1]",
    "range(0)|list ~ range(100001)",
    "dict(a=1, b=2) ~ dict([('x', 1)]) ~ dict({'a': 1}, b=2) ~ {}",
    "{'a': 1, 'a': 2} ~ {1: 'x', 1.0: 'y', true: 'z'}",
    "{[1]: 2}",
    "'it\\'s' ~ \"q\\\"q\" ~ ['it\\'s', 'q\"q', 'b\\\\', 'é\\n\\x07\\u200b']",
    "'a' 'b' ~ '\\u00e9' ~ '\\x41' ~ '\\101' ~ '\\d'",
    "[1, 2,] ~ (1,) ~ (1, 2) ~ ((1)) ~ {'a': 1,}",
    "1, 2",
    "true ~ True ~ false ~ none ~ None",
    "-1|abs ~ -2 ** 2 ~ +1 ~ - -1 ~ 2 * -1",
    "not true == false",
    "1 if x is defined else 2",
    "1e1000 ~ -1e1000 ~ [1e16, 1.5, 100.0]",
    "[1401787770084084.25, 9007199254740993.0, 5e-324, 1.7976931348623157e308, 123456789012345680.0, 0.0001, 0.00001]",
    "loop",
    "s is defined and s|length > 3 and not (s == 'x')",
    "joiner is defined ~ cycler is defined ~ namespace is defined",
    "'%s' % (s|upper) ~ ('a', 'b')|join",
    "range(3)|map('string')|join(',')",
    "9223372036854775807 ~ -9223372036854775807",
    "d == {'a': 1.5, 'b': 2, 'n': none, 't': true} ~ [1, [2]] == [1, [2]] ~ (1,) == [1]",
    "(1, 2) < (1, 3) ~ [] < [1] ~ 'Z' < 'a' ~ 'é' > 'z'",
    "5()",
    "range('a')",
    "namespace(a=1).a ~ namespace({'b': 2}).b ~ namespace().c",
    "namespace(_a=1)",
    "namespace(a=[1, 'b'])",
    "tools is none ~ documents is none ~ tools is defined ~ add_generation_prompt",
    "bos_token ~ eos_token ~ unk_token",
    "messages[1:]|length ~ messages[-1].role ~ messages[0]['content'] ~ messages|length",
    "messages[0]",
    "messages[1].content.strip() ~ messages[1]['content']|trim|e",
    "messages[0].get('tool_calls') ~ messages[0].tool_calls is defined ~ ('tool_calls' in messages[0])",
    "raise_exception('no')",
    "d.items()|list ~ d.items()|length",
    "[1, 2, 3]|select('gt', 1)|length",
    "([1, 2]|map('string'))[0]",
    "'yes' if [0]|select else 'no'",
    "'a' is in d ~ 'a' in d.keys() ~ 2 in d.values()",
]

STATEMENTS = {
    "if": "{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}{% if x %}a{% else %}b{% endif %}",
    "for else": "{% for i in [] %}x{% else %}none{% endfor %}{% for i in [1] %}x{% else %}none{% endfor %}",
    "loop": "{% for i in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }} {% endfor %}",
    "loop neighbours": "{% for i in [1, 2, 3] %}[{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }}]{% endfor %}{% for i in [1] %}{{ loop.previtem is defined }}{% endfor %}",
    "loop cycle": "{% for i in range(5) %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "loop changed": "{% for i in [1, 1, 2, 2, 1] %}{{ loop.changed(i) }} {% endfor %}",
    "loop condition": "{% for i in range(6) if i is odd %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% endfor %}",
    "late condition": "{% set ns = namespace(n=2) %}{% for i in range(6) if i < ns.n %}{{ i }}{% set ns.n = ns.n + 1 %}{% endfor %}",
    "unpacking": "{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}{% for k, v in d.items() %}{{ k }}={{ v }} {% endfor %}",
    "nested unpacking": "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "wrong unpacking": "{% set a, b = [1, 2, 3] %}",
    "break": "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "nested break": "{% for i in range(3) %}{% for j in range(3) %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}",
    "break outside": "{% break %}",
    "recursive": "{% for i in [{'n': 1, 'c': [{'n': 2, 'c': []}]}] recursive %}<{{ i.n }}{{ loop.depth }}{{ loop(i.c) }}>{% endfor %}",
    "not recursive": "{% for i in [1] %}{{ loop([2]) }}{% endfor %}",
    "scope": "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}{% if 1 %}{% set x = 7 %}{% endif %}{{ x }}",
    "loop variable after": "{% for i in [1] %}{% endfor %}{{ i is defined }}{{ loop is defined }}",
    "namespace": "{% set ns = namespace(a=0, b='x') %}{% for i in range(4) %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }}{{ ns.z is defined }}{{ ns }}",
    "not a namespace": "{% set n = {} %}{% set n.a = 1 %}",
    "private attribute": "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "set block": "{% set x %}a{{ 1 }}b{% endset %}[{{ x }}]{% set y | upper | trim %} q {% endset %}[{{ y }}]",
    "set block scope": "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y is defined }}",
    "macro": "{% macro f(a, b='B', c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, 2) }}|{{ f(1, c=3) }}|{{ f(b=1, a=2) }}|{{ f() }}",
    "macro defaults": "{% macro f(a, b=a ~ 'x') %}{{ b }}{% endmacro %}{{ f(1) }}{{ f(1, 2) }}",
    "macro varargs": "{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, x=4) }}",
    "macro too many": "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "macro unknown": "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}",
    "macro twice": "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}",
    "macro name": "{% macro f(a) %}{% endmacro %}{{ f.name }}{{ f }}{{ f.x }}",
    "macro recursion": "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "macro scope": "{% set x = 1 %}{% macro f() %}{{ x }}{{ y }}{% endmacro %}{% set x = 2 %}{% for y in [1] %}{{ f() }}{% endfor %}",
    "macro spread": "{% macro f(a, b, c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(*[1, 2], **{'c': 3}) }}{{ f(1, *[2, 3]) }}",
    "macro result": "{% macro f() %} a {% endmacro %}{{ f()|trim|length }}{{ f() ~ 'b' }}",
    "call": "{% macro f(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call f('p') %}body{% endcall %}",
    "call with arguments": "{% macro f(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) f([1, 2]) %}[{{ x }}]{% endcall %}",
    "call without caller": "{% macro f() %}x{% endmacro %}{% call f() %}y{% endcall %}",
    "caller missing": "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}",
    "filter block": "{% filter upper %}a{{ 'b' }}{% endfilter %}{% filter replace('a', 'b')|upper %}xax{% endfilter %}",
    "with": "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% set c = 3 %}{% endwith %}{{ a }}{{ b is defined }}{{ c is defined }}",
    "raw": "{% raw %}{{ x }} {% if %} {# c #}{% endraw %}|{%- raw -%}  {{ y }}  {%- endraw -%}  |",
    "comment": "a{# c {{ x }} {% if %} #}b{#- c -#} c {#+ d +#}",
    "generation": "{% generation %}{% set z = 1 %}a{{ z }}{% endgeneration %}{{ z is defined }}",
    "generation trimmed": "a \n{%- generation -%}\n b \n{%- endgeneration -%}\n c",
    "print tag": "{% print 1, 'a' %}",
    "block": "{% block a %}x{{ s }}{% endblock %}{% block b %}y{% endblock b %}",
    "autoescape off": "{% autoescape false %}{{ '<' }}{% endautoescape %}",
    "cycler": "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.current }}",
    "joiner": "{% set j = joiner('|') %}{% for i in [1, 2, 3] %}{{ j() }}{{ i }}{% endfor %}",
    "generators are gone through once": "{% set g = l|select('gt', 1) %}{{ g|list }}{{ g|list }}{{ l|map('string') is iterable }}",
    "first of a generator": "{% set g = l|map('string') %}{{ g|first }}{{ g|list }}",
    "trim blocks": "{% if 1 %}\na\n{% endif %}\nb\n",
    "lstrip blocks": "  {% if 1 %}\n  a\n\t{% endif %}\n  b  {% if 1 %}c{% endif %}\n",
    "prints keep their space": "  {{ 1 }}\n  {{ 2 }}  \n",
    "signs": "a  {%- if 1 -%}  b  {%- endif -%}  c\n  {%+ if 1 +%}\n d{% endif %}  {{- 1 -}}  e",
    "comments and space": "a\n  {# c #}\nb\n {#- c -#}\n d {# e #} \n",
    "line ends": "a\r\nb\rc\n{% if 1 %}\r\nd{% endif %}\r\n",
    "ends in newlines": "a\n\n",
    "minus as sign": "{{-1}}{{ -1 -}} {{ 1 - -1 }}",
    "braces": "{{ {'a': {'b': 1}}.a.b }}{{ {}|length }}{{ '}}' }}{{ '{{' }}",
    "quotes": "{{ \"a'b\" ~ 'c\"d' ~ '%}' }}",
    "unclosed print": "{{ 1",
    "unclosed block": "{% if 1 %}a",
    "unclosed comment": "a {# b",
    "unclosed raw": "{% raw %}a",
    "unclosed text": "{{ 'a }}",
    "stray end": "a{% endif %}",
    "stray brace": "{%}",
    "unknown tag": "{% nothing %}",
    "do": "{% do 1 %}",
    "empty print": "{{ }}",
    "wrong bracket": "{{ (1] }}",
    "keyword order": "{{ f(a=1, 2) }}",
    "assign to constant": "{% set true = 1 %}",
    "include": "{% include 'x' %}",
    "include not reached": "{% if 0 %}{% include 'x' %}{% endif %}a",
    "extends": "{% extends 'x' %}",
    "import": "{% from 'x' import y %}",
    "test without brackets": "{{ 1 is divisibleby 1 and 2 is eq 2 }}",
    "if with a tuple": "{% if 1, 0 %}a{% endif %}",
    "elif chain": "{% for i in range(4) %}{% if i == 0 %}a{% elif i == 1 %}b{% elif i == 2 %}c{% else %}d{% endif %}{% endfor %}",
    "set in a macro": "{% macro f() %}{% set q = 1 %}{{ q }}{% endmacro %}{{ f() }}{{ q is defined }}",
    "shadowed by a macro": "{% set messages = messages[1:] %}{{ messages|length }}",
    "strings over lines": "{{ 'a\nb' }}",
    "dates": "{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d') }}|{{ strftime_now('%A, %B %-d, %Y %H:%M:%S') }}",
    "a conversation": "{% for m in messages %}<|{{ m.role }}|>\n{{ m['content']|trim }}{% if not loop.last %}\n{% endif %}{% endfor %}",
    "tool definitions": "{%- if tools is not none and tools %}{{ tools|tojson(indent=4) }}{% else %}none{% endif %}",
    "thoughts left out": "{% set c = '<think>a</think>\n\nb' %}{{ c.split('</think>')[-1].lstrip('\n') }}{{ c.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') }}",
    "last user turn": "{% set ns = namespace(i=-1) %}{% for m in messages[::-1] %}{% set i = (messages|length - 1) - loop.index0 %}{% if ns.i < 0 and m.role == 'user' %}{% set ns.i = i %}{% endif %}{% endfor %}{{ ns.i }}",
}

STRFTIME = [
    "%a %A %b %B %h", "%c", "%C %y %Y %G %g", "%d %e %j %m", "%D", "%F", "%H %I %k %l %M %S %p %P", "%f", "%n|%t|%%",
    "%r", "%R", "%T", "%u %w %U %V %W", "%x", "%X", "[%z] [%Z]", "%-d %-m %-H %-I %-j %-M", "%_d %_m %_H", "%010d %10d %-10d",
    "%^a %^B %#p %#a %#Z", "%Ey %EY %Od %Om %EC %Ec", "%q %N %v %i %L", "%:z %", "%5", "%ED %Oc", "%10A|%-10A|%010A", "%5%|%5n",
    "%é", "%10T|%010T|%-T", "%^c", "%3e|%-e|%0e", "plain", "", "%Q%d", "%d/%m/%Y %H:%M",
]

# Template, what skiplens makes of it, and why it differs. None stands for an error.
DIFFERENCES = [
    ("{{ 9223372036854775807 + 1 }}", None, "integers have 64 bits; what does not fit is an error, never a wrong number"),
    ("{{ (-8.0) ** 0.5 }}", None, "there are no complex numbers"),
    ("{{ 99999999999999999999 }}", None, "integers have 64 bits"),
    ("{{ '<p>a</p>'|striptags }}", None, "filters for HTML are left out: striptags, urlize, xmlattr"),
    ("{{ [1]|pprint }}", None, "pprint is left out: it is for debugging"),
    ("{{ 'a'.encode('utf-8') }}", None, "there are no bytes"),
    ("{{ 'a'.translate({97: 'b'}) }}", None, "translate and maketrans are left out"),
    ("{% autoescape true %}{{ '<' }}{% endautoescape %}", None, "nothing is escaped for HTML unless a filter does"),
    ("{{ ('<'|e) + '<' }}", "&lt;<", "escaped text is text like any other, so it does not escape what is added to it"),
    ("{{ '\\N{EM DASH}' }}", None, "characters have no names in texts"),
    ("{{ 'ab c--def'|wordwrap(6) }}", "ab\nc--def", "wordwrap does not know dashes between words"),
    ("{{ 1|attr('real') }}", "", "numbers have no attributes"),
    ("{{ '²'.isdecimal() }}", "True", "isdecimal, isdigit and isnumeric are one beyond ASCII"),
    ("{{ ('%.5000f' % 1)|length }}", None, "at most 4096 digits stand after the point"),
    ("{{ 5[1:2] }}", None, "a constant is no special case: what cannot be sliced is an error, as it is for a variable"),
    ("{{ self.x }}", None, "there is no self: blocks stand where they are"),
]


class FixedNow(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(*NOW.timetuple()[:6], NOW.microsecond)


def render(template):
    """The text of the template, none if it raises."""
    try:
        compiled = chat_templates._compile_jinja_template(template)
        return compiled.render(
            messages=copy.deepcopy(MESSAGES), tools=None, documents=None, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"
        )
    except Exception:
        return None


def with_variables(body):
    """The construct after the definitions of the variables that it names."""
    words = set(re.findall(r"\w+", re.sub(r"'[^']*'", "", body)))
    return "".join(f"{{% set {name} = {value} %}}" for name, value in VARIABLES.items() if name in words) + body


def rows():
    for expression in TOJSON + PERCENT + BRACES + METHODS + FILTERS + TESTS + EXPRESSIONS:
        body = expression if expression.startswith("{%") else "{{ " + expression + " }}"
        yield expression, with_variables(body)
    for name, body in STATEMENTS.items():
        yield name, with_variables(body)
    for format in STRFTIME:
        yield "strftime " + format, "{{ strftime_now(" + json.dumps(format, ensure_ascii=False) + ") }}"


def main(out):
    chat_templates.datetime = FixedNow
    with open(out, "w", encoding="utf-8") as file:
        for name, template in rows():
            text = render(template)
            outcome = dict(error=True) if text is None else dict(text=text)
            assert text is None or " at 0x" not in text, f"{name}: no two runs make the same"
            file.write(json.dumps(dict(name=name, template=template, **outcome), ensure_ascii=False) + "\n")
        for template, ours, reason in DIFFERENCES:
            theirs = render(template)
            assert theirs != ours, f"{template}: no difference"
            row = dict(name=template, template=template, text=theirs, differs=reason, ours=ours)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


main(*sys.argv[1:])
