//! Which templates are accepted, which files they may use, and the errors for the others.

use super::fixture::{Case, looped, strings};
use mailq::render::{Content, TemplateError};

#[test]
fn refuses_unknown_variables_with_place_and_columns() {
    let unknown = |place: &str, name: &str| {
        format!("{place}: `{name}` is not a column of recipients.csv (columns: email, name, city)")
    };
    for (source, wanted) in [
        (
            "Hi\n\n  é {{ nmae }}",
            unknown("templates/a.txt:3:8", "nmae"),
        ),
        (
            "{{ name | default(nickname) }}",
            unknown("templates/a.txt:1:19", "nickname"),
        ),
        (
            "{{ x | default('') }}{{ x }}",
            unknown("templates/a.txt:1:25", "x"),
        ),
        (
            "{% for a in items %}{% endfor %}",
            unknown("templates/a.txt:1:13", "items"),
        ),
        (
            "{% if vip %}{% endif %}",
            unknown("templates/a.txt:1:7", "vip"),
        ),
        (
            "{{ row[\"First name\"] }}",
            unknown("templates/a.txt:1:8", "First name"),
        ),
        ("{{ row.town }}", unknown("templates/a.txt:1:4", "town")),
        (
            "{{ name.first }}",
            "templates/a.txt:1:4: `name` is text and has no attribute `first`".to_string(),
        ),
        (
            "{{ a\n }}{{ ",
            "templates/a.txt:2:4: syntax error: unexpected end of input".to_string(),
        ),
    ] {
        let error = Case::new(&[("a.txt", source)]).error();
        assert!(error.starts_with(&wanted), "{source}: {error}");
    }
    let included = Case::new(&[("a.txt", "{% include 'b.txt' %}"), ("b.txt", "\n{{ c }}")]);
    assert_eq!(included.error(), unknown("templates/b.txt:2:4", "c"));
    let subject = Case::new(&[("a.txt", "x")]).subject("Hi {{ nam }}");
    assert_eq!(
        subject.error(),
        unknown("campaigns/sample.toml: subject:1:7", "nam")
    );
    let header = Case::new(&[("a.txt", "x")]).header("X-A", "{{ z }}");
    assert_eq!(
        header.error(),
        unknown("campaigns/sample.toml: headers.X-A:1:4", "z")
    );
}

#[test]
fn suggests_the_nearest_column() {
    let case = Case::new(&[("a.txt", "{{ nmae }}")]);
    let content = Content::load(&case.content, &case.templates()).unwrap();
    let error = content
        .composer(&strings(&["email", "name"]), "list.csv")
        .err();
    let Some(TemplateError::UnknownColumn(unknown)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(unknown.nearest.as_deref(), Some("name"));
}

#[test]
fn accepts_guarded_and_bound_variables() {
    for source in [
        "{{ nick | default('you') }}",
        "{% if nick is defined %}{{ nick }}{% endif %}",
        "{% if nick is not defined %}-{% else %}{{ nick }}{% endif %}",
        "{% set x = name %}{{ x }}{% for c in name %}{{ c }}{{ loop.index }}{% endfor %}",
        "{% macro m(a, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m(name) }}",
        "{% for n in range(3) %}{{ n }}{% endfor %}",
        "{{ row.name }}{{ row['city'] }}{{ row['x'] | default('') }}",
        "{# {{ nothing }} #}{% raw %}{{ nothing }}{% endraw %}",
    ] {
        Case::new(&[("a.txt", source)])
            .compose("Anna")
            .expect(source);
    }
}

#[test]
fn a_name_may_begin_with_the_directory_itself() {
    let case = Case::new(&[("a.txt", "{% include './b.txt' %}"), ("b.txt", "hello")]);
    assert!(case.compose("Anna").is_ok());
}

#[test]
fn refuses_templates_outside_their_directory() {
    for name in [
        "../secret.txt",
        "/etc/passwd",
        "b/../../secret.txt",
        "./../secret.txt",
        "..\\secret.txt",
    ] {
        let source = format!("{{% include {name:?} %}}");
        let case = Case::new(&[("a.txt", &source)]);
        std::fs::write(case.directory.path().join("secret.txt"), "secret").unwrap();
        let wanted = "is outside the templates directory";
        assert!(case.error().ends_with(wanted), "{name}: {}", case.error());
        // A name that only rendering knows reaches no file either.
        let computed = format!("{{% include {name:?} ~ '' %}}");
        let case = Case::new(&[("a.txt", &computed)]);
        std::fs::write(case.directory.path().join("secret.txt"), "secret").unwrap();
        assert!(case.compose("Anna").is_err(), "{name}");
    }
    let case = Case::new(&[("a.txt", "{% include 'link.txt' %}")]);
    let secret = case.directory.path().join("secret.txt");
    std::fs::write(&secret, "secret").unwrap();
    std::os::unix::fs::symlink(&secret, case.templates().join("link.txt")).unwrap();
    let wanted = "templates/a.txt:1:12: template `link.txt` is outside the templates directory";
    assert_eq!(case.error(), wanted);
}

#[test]
fn reports_a_missing_template_with_the_place_that_names_it() {
    let case = Case::new(&[("a.txt", "\n{% include 'b.txt' %}")]);
    assert_eq!(
        case.error(),
        "templates/a.txt:2:12: no template `b.txt` in `…/templates`"
    );
    let case = Case::new(&[]);
    assert_eq!(
        case.error(),
        "campaigns/sample.toml: no template `a.txt` in `…/templates`"
    );
    Case::new(&[("a.txt", "{% include 'b.txt' ignore missing %}")])
        .compose("x")
        .unwrap();
}

#[test]
fn sources_are_all_files_that_a_message_depends_on() {
    let (composer, _) = looped();
    let names: Vec<String> = composer.sources().into_keys().collect();
    let wanted = [
        "base.html",
        "news.html",
        "news.txt",
        "partials/footer.txt",
        "partials/item.html",
        "partials/macros.html",
    ];
    assert_eq!(names, wanted);
    let computed = Case::new(&[
        ("a.txt", "{% include city ~ '.txt' %}"),
        ("Rome.txt", "Roma"),
        ("Paris.txt", "Paris"),
    ]);
    assert_eq!(computed.composer().unwrap().sources().len(), 3);
    let bytes = computed.compose("Anna").unwrap();
    assert!(
        String::from_utf8(bytes)
            .unwrap()
            .ends_with("\r\n\r\nRoma\r\n")
    );
}

#[test]
fn header_columns_are_those_of_subject_and_headers() {
    let columns = strings(&["email", "name", "city", "x"]);
    let of = |subject: &str, header: &str| {
        let case = Case::new(&[("a.txt", "{{ x }}")])
            .subject(subject)
            .header("X-A", header);
        let content = Content::load(&case.content, &case.templates()).unwrap();
        content.header_columns(&columns)
    };
    assert_eq!(
        of("{{ name }}", "{{ city | default('') }}"),
        ["name", "city"]
    );
    assert_eq!(of("{{ row[email] }}", ""), columns);
    assert_eq!(of("x", "y"), strings(&[]));
}

#[test]
fn the_key_decides_what_is_escaped_and_not_the_name_of_the_file() {
    let files = [
        (
            "c.tpl",
            "{% extends 'base.mjml' %}{% block b %}{% include 'part.txt' %}{% endblock %}",
        ),
        (
            "base.mjml",
            "{% from 'm.j2' import m %}<b>{{ m(name) }}</b>{% block b %}{% endblock %}",
        ),
        ("m.j2", "{% macro m(x) %}{{ x }}{% endmacro %}"),
        ("part.txt", "part {{ name }}"),
        ("t.html", "text {{ name }} {% include 'part.txt' %}"),
    ];
    for html in ["c.tpl", "c.HTML", "c.mjml"] {
        let mut case = Case::new(&files);
        let (_, source) = files[0];
        std::fs::write(case.templates().join(html), source).unwrap();
        case.content.html = Some(html.to_string());
        case.content.text = Some("t.html".to_string());
        let row = super::fixture::row("a@x.io", &["a@x.io", "<script>", "Rome"]);
        let message = case.composer().unwrap().render(&row).unwrap();
        let escaped = "<b>&lt;script&gt;</b>part &lt;script&gt;";
        assert_eq!(message.html.as_deref(), Some(escaped), "{html}");
        assert_eq!(message.text.as_deref(), Some("text <script> part <script>"));
    }
}

#[test]
fn refuses_a_column_that_hides_what_a_template_means() {
    for (column, source, wanted) in [
        (
            "row",
            "{{ row.name }}",
            "1:4: `row` is a column of recipients.csv",
        ),
        (
            "row",
            "{{ row['name'] }}",
            "hides the variable for the whole row",
        ),
        (
            "now",
            "{{ now() }}",
            "1:4: `now` is a column of recipients.csv, and hides the function",
        ),
        (
            "range",
            "{% for x in range(3) %}{% endfor %}",
            "1:13: `range` is a column",
        ),
        ("row", "{{ row }} {{ row | upper }}", ""),
        ("now", "{{ now }}", ""),
    ] {
        let case = Case::new(&[("a.txt", source)]);
        let content = Content::load(&case.content, &case.templates()).unwrap();
        let columns = strings(&["email", "name", column]);
        let checked = content.composer(&columns, "recipients.csv");
        let error = checked
            .err()
            .map_or(String::new(), |error| error.to_string());
        assert!(
            error.contains(wanted) && error.is_empty() == wanted.is_empty(),
            "{source}: {error}"
        );
    }
}

#[test]
fn a_template_cannot_take_the_process_down() {
    let chain = |operator: &str| format!("{{{{ 1{} }}}}", operator.repeat(26_000));
    for source in [
        chain("+1"),
        chain("|abs"),
        chain(" is defined"),
        chain(" if 1 else 1"),
    ] {
        let error = Case::new(&[("a.txt", &source)]).error();
        assert!(error.starts_with("templates/a.txt:1:"), "{error}");
        assert!(
            error.contains("operators, filters, calls and brackets in one tag"),
            "{error}"
        );
    }
    for (source, wanted) in [
        (
            "{% set ns = namespace() %}\n{% set ns.x = ns %}{{ ns }}",
            "templates/a.txt:2: invalid operation: a namespace cannot be kept in a namespace",
        ),
        (
            "{% set ns = namespace(x=1) %}{% for i in range(1000) %}\n{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
            "templates/a.txt:2: invalid operation: a value that is nested more than 100 levels deep",
        ),
        (
            "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}\n{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "templates/a.txt:2: invalid operation: more than 4000000 elements",
        ),
        (
            "{{ '{:2000000000}'.format('a') }}",
            "templates/a.txt:1: invalid operation: widths of more than 100000 characters",
        ),
    ] {
        let error = Case::new(&[("a.txt", source)]).compose("x").unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn a_set_keeps_its_value() {
    let source = "{% set ns = namespace(n=[]) %}{% for c in name %}{% set ns.n = ns.n + [c] %}{% endfor %}{% set a, b = ns.n|length, name if city else 2 -%}\n {{ a }}{{ b }}{{ ns.n|join('-') }}{% set d = {'k': [1, (2, 3)]} %}{{ d.k[1][0] }}{% set m = row %}{{ m.city }}";
    let case = Case::new(&[("a.txt", source)]);
    let row = super::fixture::row("a@x.io", &["a@x.io", "Bo", "Rome"]);
    let message = case.composer().unwrap().render(&row).unwrap();
    assert_eq!(message.text.as_deref(), Some("2BoB-o2Rome"));
}

#[test]
fn a_computed_name_checks_only_what_it_can_be() {
    let files = [
        ("a.txt", "{% include 'parts/' ~ city ~ '.txt' %}"),
        ("parts/Rome.txt", "ciao {{ name }}"),
        ("other.txt", "{{ of_another_list }}"),
        ("parts/other.html", "{{ of_another_list }}"),
    ];
    let message = Case::new(&files).compose("Bo").unwrap();
    assert!(String::from_utf8_lossy(&message).contains("ciao Bo"));
    let listed = "{% for part in ['parts/Rome.txt'] %}{% include part %}{% endfor %}";
    let listed = Case::new(&[("a.txt", listed), files[1], files[2]]).compose("Bo");
    assert!(String::from_utf8_lossy(&listed.unwrap()).contains("ciao Bo"));
    let unknown = Case::new(&[files[0], ("parts/Oslo.txt", "{{ nmae }}")]).error();
    assert!(
        unknown.starts_with("templates/parts/Oslo.txt:1:4: `nmae`"),
        "{unknown}"
    );
}
