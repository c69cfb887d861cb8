//! Compares the dialect with Jinja in Python, and tests the limits with malicious templates.

use super::*;
use crate::engine::prompt::Role;
use jiff::civil::date;
use proptest::prelude::*;
use std::path::Path;

/// Limits that a test reaches quickly.
const SMALL: Limits = Limits {
    work: 1 << 22,
    memory: 1 << 20,
    output: 1 << 16,
};

fn conversation() -> Vec<Message> {
    [
        (Role::System, "Be brief."),
        (Role::User, " Hi <b>é</b> 'x' \"y\" \n"),
        (Role::Assistant, "One\n\nTwo"),
    ]
    .map(|(role, content)| Message {
        role,
        content: content.to_owned(),
    })
    .into()
}

fn variables(messages: &[Message]) -> Variables<'_> {
    Variables {
        messages,
        add_generation_prompt: true,
        bos_token: "<s>",
        eos_token: "</s>",
        now: date(2024, 2, 5).at(3, 4, 9, 123_000),
    }
}

fn render(source: &str) -> Result<String> {
    Template::parse(source)?.render(&variables(&conversation()))
}

fn render_within(source: &str, limits: Limits) -> Result<String> {
    let template = Template::parse(source)?;
    let messages = conversation();
    on_large_stack(|| template.run(&variables(&messages), limits))?
}

/// Each row is a construct and Python's output for it, written by `tests/golden/jinja.py`.
#[test]
fn constructs_match_python() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jinja.jsonl");
    let rows = std::fs::read_to_string(path).unwrap();
    let mut compared = 0;
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let (name, template) = (&row["name"], row["template"].as_str().unwrap());
        let expected = match row.get("differs") {
            Some(_) => row["ours"].as_str(),
            None => row["text"].as_str(),
        };
        let rendered = render(template);
        assert_eq!(
            rendered.as_deref().ok(),
            expected,
            "{name}: {:?}",
            rendered.as_ref().err()
        );
        compared += 1;
    }
    assert!(compared >= 400, "{compared} rows");
}

#[test]
fn faults_name_the_line() {
    for (source, message) in [
        ("a\n{{ x.y }}", "line 2: 'x' is undefined"),
        ("\n\n{% for %}", "line 3: expected a name, found '%}'"),
        (
            "{% if 1 %}\n{{ 1",
            "line 2: expected '}}', found the end of the template",
        ),
        ("a\n{{ 1 ! }}", "line 2: unexpected character '!'"),
        ("{{ raise_exception('no ' ~ 1) }}", "no 1"),
        (
            "{% include 'x' %}",
            "line 1: 'include' needs another template, and there is none",
        ),
    ] {
        assert_eq!(render(source).unwrap_err().to_string(), message);
    }
    let long = render("{{ raise_exception('x' * 100000) }}").unwrap_err();
    assert!(long.to_string().len() < 3000);
}

/// Deep nesting could overflow the stack of the parser or the interpreter.
#[test]
fn deep_sources_fail_and_long_sources_parse() {
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{1:", "1", "}"),
        ("f(", "1", ")"),
        ("x[", "1", "]"),
        ("not ", "1", ""),
        ("-", "1", ""),
        ("1 if 1 else ", "1", ""),
        ("1|f(", "1", ")"),
    ] {
        let nested = |n: usize| format!("{{{{ {}{middle}{} }}}}", open.repeat(n), close.repeat(n));
        assert!(Template::parse(&nested(20)).is_ok(), "{open}");
        let fault = Template::parse(&nested(20_000)).unwrap_err().to_string();
        assert!(fault.contains("nest too deeply"), "{open}: {fault}");
    }
    for (open, close) in [
        ("{% if 1 %}", "{% endif %}"),
        ("{% for a in b %}", "{% endfor %}"),
        ("{% set a %}", "{% endset %}"),
        ("{% macro f() %}", "{% endmacro %}"),
    ] {
        let nested = |n: usize| open.repeat(n) + &close.repeat(n);
        assert!(Template::parse(&nested(50)).is_ok(), "{open}");
        assert!(Template::parse(&nested(5_000)).is_err(), "{open}");
    }
    for (link, text) in [
        ("+1", "20001"),
        (" and 1", "1"),
        ("~''", "1"),
        (" ** 1", "1"),
        (" <= 1", "True"),
        (" if 1", "1"),
        ("|int", "1"),
    ] {
        let chain = format!("{{{{ 1{} }}}}", link.repeat(20_000));
        assert_eq!(render(&chain).unwrap(), text, "{link}");
    }
    let elifs = format!(
        "{{% if 0 %}}{}{{% else %}}x{{% endif %}}",
        "{% elif 0 %}".repeat(20_000)
    );
    assert_eq!(render(&elifs).unwrap(), "x");
    assert!(Template::parse(&"x".repeat(MAX_SOURCE + 1)).is_err());
}

/// Each of these exceeds a limit of time, memory or depth.
#[test]
fn excessive_growth_is_an_error() {
    for body in [
        "{{ 'a' * 1000000000000 }}",
        "{{ [1] * 1000000000000 }}",
        "{{ 'a'.center(5000000000) }}{{ 'a'.zfill(5000000000) }}",
        "{{ 'a'|center(5000000000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%.1000000000d'|format(1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'a\nb'|indent(5000000000) }}",
        "{{ [1]|batch(5000000000, 1)|list }}",
        "{{ [1]|slice(5000000000)|list }}",
        "{{ range(100000)|join('x' * 1000) }}",
        "{{ range(100000)|list|tojson(indent=1000) }}",
        "{{ range(100000)|list|tojson(separators=('x' * 1000, 'y')) }}",
        "{{ ('a' * 1000).replace('', 'b' * 100000) }}",
        "{{ ('\\t' * 1000).expandtabs(1000000) }}",
        "{{ (' ' * 900000).split(' ') }}",
        "{{ strftime_now('%1000000000d') }}",
        "{{ 1|round(300) }}{% for i in range(100000) %}{{ 0.1|round(300) }}{% endfor %}",
        "{% for i in range(90) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% for i in range(90) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% for i in range(90) %}{% set ns.x = ns.x|replace('a', ns.x) %}{% endfor %}",
        "{% for i in range(90) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% for i in range(90) %}{% set ns.l = (ns.l, ns.l) %}{% endfor %}{{ ns.l }}",
        "{% for i in range(90) %}{% set ns.l = (ns.l, ns.l) %}{% endfor %}{{ ns.l|tojson }}",
        "{% for i in range(90) %}{% set ns.l = (ns.l, ns.l) %}{% endfor %}{{ ns.l == (ns.l, 1)[0] }}",
        "{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}",
        "{% for i in range(1000) %}{% set ns.l = {'a': ns.l} %}{% endfor %}",
        "{% set ns.x = ns %}{{ ns }}",
        "{% set ns.x = [ns] %}{{ ns }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro %}{{ g() }}",
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ 'x' * 100000 }}",
    ] {
        let source = format!("{{% set ns = namespace(x='aaaa', l=(1,)) %}}{body}");
        let fault = render_within(&source, SMALL).expect_err(body).to_string();
        let words = ["too long", "too much", "too deeply"];
        assert!(
            words.iter().any(|word| fault.contains(word)),
            "{body}: {fault}"
        );
    }
}

/// Freed memory is returned to the meter, so a loop can use it again.
#[test]
fn only_live_memory_counts() {
    let source = "{% for i in range(40) %}{% set x = 'a' * 100000 %}{% endfor %}{{ x is defined }}";
    let limits = Limits {
        work: 1 << 26,
        ..SMALL
    };
    assert_eq!(render_within(source, limits).unwrap(), "False");
}

/// A statement that makes values larger.
fn growth() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{% set ns.s = ns.s ~ ns.s %}",
        "{% set ns.s = ns.s + ns.s %}",
        "{% set ns.s = ns.s * 7 %}",
        "{% set ns.s = ns.s|replace('a', ns.s) %}",
        "{% set ns.s = ns.s.replace('', 'ab') %}",
        "{% set ns.s = ns.s|indent(50, true) %}",
        "{% set ns.s = ns.s|center(i * 1000) %}",
        "{% set ns.s = '%s%s'|format(ns.s, ns.s) %}",
        "{% set ns.s = '{0}{0}'.format(ns.s) %}",
        "{% set ns.s = '%*s' % (i * 100, ns.s) %}",
        "{% set ns.s = ns.s.join([ns.s, ns.s, ns.s]) %}",
        "{% set ns.s = ns.l|join(ns.s) %}",
        "{% set ns.s = ns.l|string %}",
        "{% set ns.s = ns.l|tojson(indent=3) %}",
        "{% set ns.s = ns.s|upper|title|escape|urlencode %}",
        "{% set ns.s = ns.s|wordwrap(3) %}",
        "{% set ns.s = ns.s[::-1] ~ i %}",
        "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}",
        "{% set ns.l = ns.l + ns.l %}",
        "{% set ns.l = ns.l * 3 %}",
        "{% set ns.l = [ns.l, ns.l] %}",
        "{% set ns.l = ns.l|batch(2, ns.s)|list %}",
        "{% set ns.l = ns.l|slice(5, ns.l)|list %}",
        "{% set ns.l = ns.s|list %}",
        "{% set ns.l = ns.s.split('a') %}",
        "{% set ns.l = range(i * 100)|list %}",
        "{% set ns.l = ns.l|map('string')|list %}",
        "{% set ns.l = ns.l|sort|unique|list %}",
        "{% set ns.l = dict(ns.l|map('string')|map('list')|map('batch', 2)|map('first')).items()|list %}",
        "{% set ns.d = {'a': ns.d, 'b': ns.d} %}",
        "{% set ns.d = ns %}",
        "{% if ns.l == ns.l[:] %}{% endif %}",
        "{% if ns.s in ns.l %}{% endif %}",
        "{{ ns.s }}",
        "{{ ns.l }}",
        "{{ ns.d }}",
        "{{ f(ns.s) }}",
        "{% call f(ns.s) %}{{ ns.s }}{% endcall %}",
        "{% for j in ns.s if j != 'a' %}{{ loop.length }}{% endfor %}",
        "{% filter upper %}{{ ns.s }}{{ ns.l }}{% endfilter %}",
    ])
}

/// Concatenated pieces of templates, valid or not.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "-",
        "+",
        "if ",
        "for ",
        "in ",
        "set ",
        "else",
        "endif",
        "endfor",
        "macro ",
        "raw",
        "endraw",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        ".",
        "|",
        "~",
        "=",
        "==",
        "not ",
        "and ",
        "is ",
        "x",
        "é",
        "'",
        "\"",
        "\\",
        "1",
        "1e9",
        "0x",
        "_",
        "\n",
        " ",
        "\r",
        "\0",
        "*",
        "**",
        "//",
        "%",
        "loop",
        "generation",
        "call ",
        "\u{2028}",
        "😀",
        "'a'",
        "{% if x %}",
        "{% endif %}",
        "{{ x }}",
        "{% set x = ",
        "-%}",
        "{%-",
        "|upper",
        "(1)",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A template that only grows values ends in a text of bounded size or an error, the same each time.
    #[test]
    fn growth_is_bounded(
        steps in prop::collection::vec(growth(), 1..6),
        rounds in 1usize..60,
        nested in any::<bool>(),
    ) {
        let body = steps.concat();
        let inner = match nested {
            true => format!("{{% for k in range(9) %}}{body}{{% endfor %}}"),
            false => body,
        };
        let source = format!(
            "{{% macro f(x) %}}{{{{ x }}}}{{{{ caller() if caller }}}}{{% endmacro %}}\
             {{% set ns = namespace(s='ab', l=[1, 'a'], d={{}}) %}}\
             {{% for i in range({rounds}) %}}{inner}{{% endfor %}}{{{{ ns.s|length }}}}"
        );
        let first = render_within(&source, SMALL);
        if let Ok(text) = &first {
            prop_assert!(text.len() <= SMALL.output);
        }
        prop_assert_eq!(first, render_within(&source, SMALL));
    }

    /// Parsing and running any source terminates.
    #[test]
    fn any_source_terminates(source in pieces()) {
        let _ = render_within(&source, SMALL);
    }

    /// Text without tags is unchanged, except for one newline at its end.
    #[test]
    fn plain_text_is_unchanged(text in "[^{}%#\r]{0,40}") {
        let kept = text.strip_suffix('\n').unwrap_or(&text);
        prop_assert_eq!(&render(&text).unwrap(), kept);
        prop_assert_eq!(render(&format!("{{% raw %}}{text}{{% endraw +%}}\n")).unwrap(), without_indent(&text));
    }

    /// Python's `repr` of a text parses back to that text.
    #[test]
    fn quoted_text_round_trips(text in any::<String>()) {
        let meter = Meter::new(SMALL);
        let mut quoted = meter::Text::new(&meter).unwrap();
        display::quote(&text, &mut quoted).unwrap();
        let literal = quoted.as_str();
        prop_assert_eq!(literal::unescape(&literal[1..literal.len() - 1]).unwrap(), text);
    }

    /// Floats parse back to the same number.
    #[test]
    fn floats_round_trip(number in any::<f64>().prop_filter("a number", |n| n.is_finite())) {
        prop_assert_eq!(display::float(number).parse::<f64>().unwrap(), number);
    }
}

/// A text without the white space before a tag, if only that is on the last line.
fn without_indent(text: &str) -> &str {
    let line = text.rfind('\n').map_or(0, |at| at + 1);
    match line > 0 && text[line..].chars().all(unicode::is_space) {
        true => &text[..line],
        false => text,
    }
}
