//! Finds what goes wrong with cells as texts, before the first row is rendered: a text compared with a number, unknown
//! filters, and tests whose answer depends on what the cells of a column look like. Walks the engine's syntax tree and
//! follows the kind of each value as far as the template shows it; where it does not, rendering decides.

mod expressions;
mod indent;
mod kind;
mod scopes;
mod statements;

use super::error::{Place, TemplateError};
use super::files::{Template, TemplateFiles};
use super::list_columns::ListColumns;
use kind::Typed;
use scopes::Scopes;
use std::collections::{BTreeMap, BTreeSet};

/// What a template does with the cells of columns without a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellUse {
    /// `{% if vip %}`: true for each text that is not empty.
    Truth,
    /// `{% if count > minimum %}`: by the alphabet, so `10` is less than `9`.
    Order,
    /// `{{ price + tax }}`: one text after the other.
    Sum,
}

/// A use that is wrong if the column holds numbers, or words for true and false.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellTest {
    pub column: String,
    pub cell_use: CellUse,
    pub place: Place,
}

/// Checks all templates. Returns the uses that only the cells themselves can prove wrong.
pub fn analyse(
    files: &TemplateFiles,
    columns: ListColumns<'_>,
) -> Result<Vec<CellTest>, TemplateError> {
    let mut macros: BTreeMap<String, Vec<Typed>> = BTreeMap::new();
    let mut tests = BTreeSet::new();
    // The first round collects the arguments of macros; the second knows them. A third for macros that call macros.
    for round in 0..3 {
        for (name, template) in &files.templates {
            let mut walk = Walk {
                template,
                columns,
                bound_elsewhere: bound_elsewhere(files, name),
                scopes: Scopes::default(),
                macros: &mut macros,
                tests: &mut tests,
                error: None,
            };
            walk.template();
            if let (2, Some((_, error))) = (round, walk.error) {
                return Err(error);
            }
        }
    }
    Ok(tests.into_iter().collect())
}

/// Names that other templates bind, and that this one may see in place of a column.
fn bound_elsewhere<'a>(files: &'a TemplateFiles, name: &str) -> BTreeSet<&'a str> {
    let others = files.templates.iter().filter(|(other, _)| *other != name);
    others
        .flat_map(|(_, other)| other.scan.bound.iter().map(String::as_str))
        .collect()
}

/// The walk through one template.
struct Walk<'a> {
    template: &'a Template,
    columns: ListColumns<'a>,
    bound_elsewhere: BTreeSet<&'a str>,
    scopes: Scopes,
    /// Arguments of the macros that have been called so far, by name.
    macros: &'a mut BTreeMap<String, Vec<Typed>>,
    tests: &'a mut BTreeSet<CellTest>,
    /// The first error of the template, with its position.
    error: Option<(usize, TemplateError)>,
}

impl Walk<'_> {
    fn place(&self, at: usize) -> Place {
        Place::of(&self.template.shown, &self.template.source, at)
    }

    fn fail(&mut self, at: usize, error: TemplateError) {
        if self.error.as_ref().is_none_or(|(first, _)| at < *first) {
            self.error = Some((at, error));
        }
    }

    fn test(&mut self, column: &str, cell_use: CellUse, at: usize) {
        let place = self.place(at);
        self.tests.insert(CellTest {
            column: column.to_string(),
            cell_use,
            place,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::cell_type::CellType;
    use std::path::Path;

    fn analysed(sources: &[&str], types: &[(&str, CellType)]) -> Result<Vec<CellTest>, String> {
        let mut files = TemplateFiles::new(Path::new("/nowhere"));
        for (number, source) in sources.iter().enumerate() {
            files.add_inline(&format!("t{number}"), source).unwrap();
        }
        let names = ["count", "price", "vip", "when", "Unit price"].map(str::to_string);
        let types = types.iter().map(|(name, known)| (name.to_string(), *known));
        let columns = ListColumns {
            names: &names,
            types: &types.collect(),
            is_grouped: true,
        };
        analyse(&files, columns).map_err(|error| error.to_string())
    }

    #[test]
    fn refuses_texts_as_numbers() {
        for (source, wanted) in [
            (
                "{% if count > 2 %}",
                "t0:1:7: `count` is text, and `>` compares it with a number",
            ),
            ("{% if 2 <= count %}", "t0:1:12: `count` is text, and `<=`"),
            ("{% if 1 < count|trim < 3 %}", "t0:1:11: `count`"),
            ("{% if count == 2 %}", "`==` compares it with a number"),
            ("{% if count > '9' %}", "`>` compares it with a number"),
            (
                "{% if vip == true %}",
                "`==` compares it with `true` or `false`",
            ),
            ("{% if count in [1, 2] %}", "`in` compares it with numbers"),
            ("{% if count is gt(2) %}", "`>` compares it with a number"),
            (
                "{% if count is odd %}",
                "`is odd` compares it with a number",
            ),
            (
                "{{ price * 2 }}",
                "t0:1:4: `price` is text, and `*` calculates with numbers",
            ),
            ("{{ 1 + price }}", "t0:1:8: `price`"),
            ("{{ -price }}", "t0:1:5: `price`"),
            ("{{ price | round(2) }}", "`round` calculates with numbers"),
            (
                "{{ row['Unit price'] / 2 }}",
                "t0:1:4: `Unit price` is text",
            ),
            ("\n {% set c = count %}{% if c > 2 %}", "t0:2:27: `count`"),
            ("{% if (count or 0) > 2 %}", "`count` is text"),
            ("{% if count | default(0) > 2 %}", "`count` is text"),
            (
                "{% for x in count | split(',') %}{% if x > 2 %}{% endif %}{% endfor %}",
                "`count`",
            ),
            (
                "{% macro m(n) %}{% if n > 2 %}{% endif %}{% endmacro %}{{ m(count) }}",
                "t0:1:23: `count`",
            ),
            ("{{ 'a' if count >= 3 else 'b' }}", "`count`"),
            ("{% if when < now() %}", "`<` compares it with a date"),
            (
                "{{ count | strtime }}",
                "t0:1:12: there is no filter `strtime`",
            ),
            ("{{ count.titel() }}", "there is no method `titel`"),
        ] {
            let source = match source.contains("{% if") && !source.contains("endif") {
                true => format!("{source}{{% endif %}}"),
                false => source.to_string(),
            };
            let error = analysed(&[&source], &[]).unwrap_err();
            assert!(error.contains(wanted), "{source}: {error}");
        }
    }

    #[test]
    fn refuses_texts_of_other_rows_as_numbers() {
        for (source, wanted) in [
            (
                "{% for row in rows %}{% if row.count > 2 %}{% endif %}{% endfor %}",
                "t0:1:28: `count`",
            ),
            (
                "{% if rows[1]['Unit price'] > 2 %}{% endif %}",
                "`Unit price` is text",
            ),
            ("{{ (rows | first).price * 2 }}", "`price` is text"),
        ] {
            let error = analysed(&[source], &[]).unwrap_err();
            assert!(error.contains(wanted), "{source}: {error}");
        }
    }

    #[test]
    fn refuses_a_large_indent() {
        for (source, wanted) in [
            (
                "{{ row | tojson(indent=2000000000) }}",
                "t0:1:10: `tojson` indents by a number up to 100",
            ),
            ("{{ row | tojson(count) }}", "`tojson` indents by"),
            (
                "{{ [row] | map('tojson', 2000000000) }}",
                "`tojson` indents by",
            ),
        ] {
            let error = analysed(&[source], &[]).unwrap_err();
            assert!(error.contains(wanted), "{source}: {error}");
        }
    }

    #[test]
    fn accepts_what_works() {
        for source in [
            "{% if count | int > 2 %}{% endif %}",
            "{% set count = count | int %}{% if count > 2 %}{% endif %}",
            "{% if count == '2' %}{% endif %}{% if vip == 'yes' %}{% endif %}",
            "{% if count | length > 2 %}{% endif %}",
            "{% for x in [1, 2] %}{% if x > 1 and loop.index > 1 %}{% endif %}{% endfor %}",
            "{{ '-' * 20 }}{{ count ~ 1 }}",
            "{% if when > '2026-12-01' %}{% endif %}",
            "{{ count.upper() | truncate(5) }}",
            "{{ price | float * 2 }}",
            "{{ row | tojson }}{{ row | tojson(2) }}{{ row | tojson(indent=true) }}",
        ] {
            assert!(analysed(&[source], &[]).is_ok(), "{source}");
        }
        let including = "{% set count = 3 %}{% include 't1' %}";
        let included = "{% if count > 2 %}{% endif %}";
        let mut files = TemplateFiles::new(Path::new("/nowhere"));
        files.add_inline("t1", included).unwrap();
        files.add_inline("t0", including).unwrap();
        let columns = ListColumns {
            names: &["count".to_string()],
            types: &BTreeMap::new(),
            is_grouped: false,
        };
        assert!(analyse(&files, columns).is_ok());
    }

    #[test]
    fn knows_the_types_of_columns() {
        let types = [
            ("count", CellType::Integer),
            ("vip", CellType::Boolean),
            ("when", CellType::Date),
        ];
        let source = "{% if count > 2 and vip and when < now() %}{{ count * 2 }}{% endif %}";
        assert_eq!(analysed(&[source], &types), Ok(vec![]));
        for (source, wanted) in [
            (
                "{{ count == '3' }}",
                "`count` is integer, and `==` compares it with a text",
            ),
            (
                "{{ when < '2026' }}",
                "`when` is date, and `<` compares it with a number",
            ),
            (
                "{{ vip == 'yes' }}",
                "`vip` is boolean, and `==` compares it with a text",
            ),
        ] {
            let error = analysed(&[source], &types).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn finds_uses_that_depend_on_the_cells() {
        for (source, wanted) in [
            ("{% if vip %}{% endif %}", vec![("vip", CellUse::Truth)]),
            (
                "{{ 'a' if not vip and count else 'b' }}",
                vec![("count", CellUse::Truth), ("vip", CellUse::Truth)],
            ),
            (
                "{{ price + count }}",
                vec![("count", CellUse::Sum), ("price", CellUse::Sum)],
            ),
            (
                "{{ price > count }}",
                vec![("count", CellUse::Order), ("price", CellUse::Order)],
            ),
            ("{{ price + ' ' + count }}{{ vip }}", vec![]),
        ] {
            let tests = analysed(&[source], &[]).unwrap();
            let found: Vec<(&str, CellUse)> = tests
                .iter()
                .map(|test| (test.column.as_str(), test.cell_use))
                .collect();
            assert_eq!(found, wanted, "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn analyses_any_template(source in "([{}%|.()]|count|price|if |endif| > |2| not | or | \\[0\\]|'a'|for | in ){0,30}") {
            let _ = analysed(&[&source], &[]);
        }
    }
}
