//! Compares the variables of templates with the columns of a list, before the first row is rendered.

use super::error::{Place, TemplateError, UnknownColumn};
use super::files::{Files, Template};
use super::scan::Reference;
use crate::domain::nearest::nearest;
use minijinja::Environment;
use std::collections::BTreeSet;

/// Names that the engine gives meaning to inside of blocks and macros.
const SPECIAL: [&str; 6] = ["loop", "self", "super", "caller", "varargs", "kwargs"];
/// The whole row, for columns whose name is no identifier: `{{ row["First name"] }}`.
pub const ROW: &str = "row";

struct Check<'a> {
    environment: &'a Environment<'static>,
    files: &'a Files,
    columns: &'a [String],
    recipients: &'a str,
}

pub fn check(
    environment: &Environment<'static>,
    files: &Files,
    columns: &[String],
    recipients: &str,
) -> Result<(), TemplateError> {
    let check = Check {
        environment,
        files,
        columns,
        recipients,
    };
    for (name, template) in &files.templates {
        check.template(name, template)?;
    }
    Ok(())
}

/// The columns that stand in these templates or in what they want; all where a template takes rows as a whole.
pub fn columns_of(files: &Files, roots: &[String], columns: &[String]) -> Vec<String> {
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = roots.iter().map(String::as_str).collect();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(template) = files.templates.get(name) else {
            continue;
        };
        if !reached.insert(name) {
            continue;
        }
        for wanted in &template.scan.wanted {
            match &wanted.name {
                Some(name) => open.push(name),
                None => open.extend(files.templates.keys().map(String::as_str)),
            }
        }
        used.extend(template.scan.names());
    }
    let takes_rows = used.contains(ROW);
    let is_used = |column: &&String| takes_rows || used.contains(column.as_str());
    columns.iter().filter(is_used).cloned().collect()
}

impl Check<'_> {
    fn template(&self, name: &str, template: &Template) -> Result<(), TemplateError> {
        for cell in &template.scan.cells {
            if !self.is_column(&cell.name) && !self.is_column(ROW) {
                return Err(self.unknown(template, &cell.name, cell.at));
            }
        }
        let mut unknown: Vec<(usize, String)> = self
            .undeclared(name, template)
            .into_iter()
            .filter(|variable| !self.is_known(name, variable))
            .map(|variable| (position(template, root(&variable)), variable))
            .collect();
        unknown.sort();
        match unknown.into_iter().next() {
            Some((at, variable)) => Err(self.error(template, &variable, at)),
            None => Ok(()),
        }
    }

    /// Names with their attributes, `a.b`, without those that a guard makes harmless.
    fn undeclared(&self, name: &str, template: &Template) -> Vec<String> {
        let masked = self
            .environment
            .template_from_named_str(name, &template.scan.masked);
        let names = match masked {
            Ok(masked) => masked.undeclared_variables(true),
            // What cannot be analysed is still strict when it is rendered.
            Err(_) => return Vec::new(),
        };
        names.into_iter().collect()
    }

    fn is_known(&self, template: &str, variable: &str) -> bool {
        let root = root(variable);
        if self.is_column(root) {
            return root == variable;
        }
        if let Some(column) = variable.strip_prefix("row.") {
            return self.is_column(column);
        }
        root == ROW
            || SPECIAL.contains(&root)
            || self.environment.globals().any(|(name, _)| name == root)
            || self.is_bound_elsewhere(template, root)
    }

    /// Tested with `is defined` anywhere, or bound by a template that may include this one.
    fn is_bound_elsewhere(&self, template: &str, variable: &str) -> bool {
        self.files.templates.iter().any(|(name, other)| {
            let holds = |names: &[String]| names.iter().any(|name| name == variable);
            holds(&other.scan.tested) || (name != template && holds(&other.scan.bound))
        })
    }

    fn is_column(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column == name)
    }

    fn error(&self, template: &Template, variable: &str, at: usize) -> TemplateError {
        let name = variable.strip_prefix("row.").unwrap_or(variable);
        match name.split_once('.') {
            Some((column, attribute)) if self.is_column(column) => TemplateError::NoAttribute {
                place: Place::of(&template.shown, &template.source, at),
                column: column.to_string(),
                attribute: attribute.to_string(),
            },
            _ if name != variable => self.unknown(template, name, at),
            _ => self.unknown(template, root(variable), at),
        }
    }

    fn unknown(&self, template: &Template, name: &str, at: usize) -> TemplateError {
        let nearest = nearest(name, self.columns.iter().map(String::as_str));
        TemplateError::from(Box::new(UnknownColumn {
            place: Place::of(&template.shown, &template.source, at),
            name: name.to_string(),
            recipients: self.recipients.to_string(),
            columns: self.columns.to_vec(),
            nearest: nearest.map(str::to_string),
        }))
    }
}

fn root(variable: &str) -> &str {
    variable.split('.').next().unwrap_or(variable)
}

fn position(template: &Template, name: &str) -> usize {
    let is_it = |reference: &&Reference| reference.name == name;
    let first = template.scan.references.iter().find(is_it);
    first.map_or(0, |reference| reference.at)
}
