//! Tests of the template judge: each way to an attribute, and templates as publishers write them.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests may panic"
)]

use crate::Verdict;
use crate::testing::scan_named;

fn verdict(template: &str) -> Verdict {
    scan_named("chat_template.jinja", template.as_bytes()).verdict
}

/// Row CVE-2024-34359 and J1: attributes of Python's own objects are hostile however written.
#[test]
fn every_way_to_pythons_own_attributes_is_hostile() {
    for template in [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}",
        "{{ ''['__cl' ~ 'ass__'] }}",
        "{{ ''['__cl' + 'ass__'] }}",
        "{{ ''['__cl' 'ass__'] }}",
        r"{{ ''['\x5f\x5fclass\x5f\x5f'] }}",
        r"{{ ''['\u005f_class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ ''|attr(['__cl','ass__']|join) }}",
        "{{ messages|map(attribute='__class__')|list }}",
        "{{ messages|map('attr', '__class__')|list }}",
        "{{ messages|map('attr', ['_','_class__']|join)|list }}",
        "{{ messages|selectattr('__class__') }}",
        "{{ messages|groupby('x.__globals__') }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__['os'].system('id') }}",
        "{{ self._TemplateReference__context }}",
        "{{ (messages|map('upper')).gi_frame.f_builtins['eval']('1') }}",
        "{% set x = ''.__class__ %}",
        "{% set k = '__class__' %}{{ ''[k] }}",
        "{% for k in ['__class__'] %}{{ ''[k] }}{% endfor %}",
        "{% if ''.__class__ %}{% endif %}",
        "{% macro f(x=''.__class__) %}{% endmacro %}",
        "{% filter attr('__class__') %}{% endfilter %}",
        "{%- set a -%}{{ ().__class__ }}{%- endset -%}",
        "{{ {'a': ''.__class__} }}",
        "{{ x[''.__class__] }}",
        "{{ dict.mro() }}",
        "{% for x in ().__class__.__base__.__subclasses__() %}{% if 'warning' in x.__name__ %}{{ x()._module.__builtins__['__import__']('os').popen('id') }}{% endif %}{% endfor %}",
        "{# ok #}{% raw %}{{ fine }}{% endraw %}{{ ''.__class__ }}",
        "{{ ''.__class__ ",
    ] {
        assert_eq!(verdict(template), Verdict::Hostile, "{template}");
    }
}

/// A name that is put together, unknown functions, filters and statements, and what the grammar
/// does not read (J2) are not cleared.
#[test]
fn what_is_computed_or_unknown_is_not_cleared() {
    for template in [
        "{{ ''[('_' * 2) ~ 'class' ~ ('_' * 2)] }}",
        "{{ ''['%sclass%s'|format('_'*2, '_'*2)] }}",
        "{{ ''[['_','_','cla','ss','_','_']|join] }}",
        "{{ x['ssalc'[::-1]] }}",
        "{% set ns = namespace(k='a') %}{% for i in range(2) %}{{ x[ns.k] }}{% set ns.k = 'a'|upper %}{% endfor %}",
        "{% macro f(k) %}{{ x[k] }}{% endmacro %}{{ f('A'|lower) }}",
        "{% for k in ['_' ~ 'a'] %}{{ x[k] }}{% endfor %}",
        "{{ open('/etc/passwd') }}",
        "{{ x.spawn() }}",
        "{{ x|unknown }}",
        "{{ x is strange }}",
        "{% include 'other' %}",
        "{% import 'a' as b %}",
        "{{ x y }}",
        "{% frobnicate %}",
        "{{ (x }}",
        "{{ x.split(' ')[0]() }}",
    ] {
        assert_ne!(verdict(template), Verdict::Cleared, "{template}");
    }
}

const GENUINE: &[(&str, &str)] = &[
    ("chatml", include_str!("../../corpus/benign/jinja/chatml.jinja")),
    ("tools", include_str!("../../corpus/benign/jinja/tools.jinja")),
    ("reasoning", include_str!("../../corpus/benign/jinja/reasoning.jinja")),
    ("gemma", include_str!("../../corpus/benign/jinja/gemma.jinja")),
];

/// Templates in the manner of publishers are cleared; cut or changed they never stop the scan.
#[test]
fn templates_of_publishers_are_cleared() {
    for (name, template) in GENUINE {
        let report = scan_named("chat_template.jinja", template.as_bytes());
        assert_eq!(report.verdict, Verdict::Cleared, "{name}: {:?}", report.sightings);
        crate::testing::mutations_never_panic(template.as_bytes());
        for (at, _) in template.char_indices() {
            verdict(&template[..at]);
        }
    }
}

/// A word that runs something elsewhere is a variable or a macro like any here, until it is called.
#[test]
fn words_are_hostile_where_they_are_called() {
    assert_eq!(
        verdict("{{ system }}{% macro eval(a) %}{% endmacro %}{{ eval(1) }}"),
        Verdict::Cleared
    );
    for call in ["{{ system('id') }}", "{{ os.popen('id') }}", "{{ x.eval('1') }}"] {
        assert_eq!(verdict(call), Verdict::Hostile, "{call}");
    }
}

/// Deep nests end in a verdict, not in a stack overflow.
#[test]
fn deep_nests_are_bounded() {
    for open in ["(", "[", "{1:", "x[", "f(", "x if 1 else "] {
        let template = format!("{{{{ {}1 }}}}", open.repeat(20_000));
        assert_ne!(verdict(&template), Verdict::Cleared, "{open}");
    }
}

/// J1 in every place: the name of an attribute, written out, joined, or put together by a filter,
/// taken there through variables, loops, macros, namespaces, containers and arguments.
#[test]
fn a_name_that_is_put_together_is_followed_everywhere() {
    for line in include_str!("../../corpus/hostile/jinja/computed.txt").lines() {
        for key in [
            "'__class__'",
            "'gi_frame'",
            "('_' ~ '_class__')",
            "('_CLA'|lower)",
            "('_' * 2 ~ y)",
            "('%c'|format(95))",
            "y[0:1]|string",
            "['_', '_']|join",
        ] {
            let template = line.replace("KEY", key);
            assert_ne!(verdict(&template), Verdict::Cleared, "{template}");
        }
    }
}
