//! Checks the variables of templates against the columns of a list, before the first row is rendered.

use super::error::{Place, TemplateError, UnknownColumn};
use super::files::{Template, TemplateFiles};
use super::list_columns::ListColumns;
use super::row::{ROW, ROWS};
use super::scan::Reference;
use crate::domain::nearest::nearest;
use minijinja::Environment;
use std::collections::BTreeSet;

/// Variables that the engine defines inside blocks and macros.
const BUILT_IN: [&str; 6] = ["loop", "self", "super", "caller", "varargs", "kwargs"];

struct Check<'a> {
    environment: &'a Environment<'static>,
    files: &'a TemplateFiles,
    columns: &'a [String],
    is_grouped: bool,
    recipients: &'a str,
}

pub fn check(
    environment: &Environment<'static>,
    files: &TemplateFiles,
    columns: ListColumns<'_>,
    recipients: &str,
) -> Result<(), TemplateError> {
    let check = Check {
        environment,
        files,
        columns: columns.names,
        is_grouped: columns.is_grouped,
        recipients,
    };
    for (name, template) in &files.templates {
        check.template(name, template)?;
    }
    Ok(())
}

/// The columns that these templates, or templates that they include, can use. All columns if one of them uses `row`.
pub fn columns_used_by(roots: &[String], files: &TemplateFiles, columns: &[String]) -> Vec<String> {
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
        for dependency in &template.scan.dependencies {
            let all = files.templates.keys().map(String::as_str);
            open.extend(all.filter(|name| dependency.name.may_be(name)));
        }
        used.extend(template.scan.variables());
    }
    let uses_row = used.contains(ROW);
    let is_used = |column: &&String| uses_row || used.contains(column.as_str());
    columns.iter().filter(is_used).cloned().collect()
}

impl Check<'_> {
    fn template(&self, name: &str, template: &Template) -> Result<(), TemplateError> {
        self.hidden_names(template)?;
        for key in &template.scan.row_keys {
            if !self.is_column(&key.name) {
                return Err(self.unknown(template, &key.name, key.at));
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

    /// A column must not hide what the template means by its name: the whole row, or a function that it calls.
    fn hidden_names(&self, template: &Template) -> Result<(), TemplateError> {
        let scan = &template.scan;
        let row = scan.row_uses.iter();
        let row = row.map(|found| (found, "the variable for the whole row"));
        let is_function = |found: &&Reference| {
            let mut globals = self.environment.globals();
            globals.any(|(name, _)| name == found.name)
        };
        let functions = scan.calls.iter().filter(is_function);
        let functions = functions.map(|found| (found, "the function"));
        let is_hidden =
            |found: &Reference| self.is_column(&found.name) && !scan.bound.contains(&found.name);
        match row.chain(functions).find(|(found, _)| is_hidden(found)) {
            None => Ok(()),
            Some((found, hidden)) => Err(TemplateError::HiddenName {
                place: Place::of(&template.shown, &template.source, found.at),
                name: found.name.clone(),
                recipients: self.recipients.to_string(),
                hidden,
            }),
        }
    }

    /// Undeclared variables without a guard, with their attributes: `a.b`.
    fn undeclared(&self, name: &str, template: &Template) -> Vec<String> {
        let masked = self
            .environment
            .template_from_named_str(name, &template.scan.masked);
        let names = match masked {
            Ok(masked) => masked.undeclared_variables(true),
            // Masking broke the syntax. Rendering is strict, so an unknown variable is still an error there.
            Err(_) => return Vec::new(),
        };
        names.into_iter().collect()
    }

    fn is_known(&self, template: &str, variable: &str) -> bool {
        let root = root(variable);
        if self.is_column(root) {
            return root == variable || self.is_method(template, variable);
        }
        if let Some(column) = variable.strip_prefix("row.") {
            return self.is_column(column);
        }
        root == ROW
            || (self.is_grouped && root == ROWS)
            || BUILT_IN.contains(&root)
            || self.environment.globals().any(|(name, _)| name == root)
            || self.is_bound_elsewhere(template, root)
    }

    /// Whether `name.title` is called. The analysis checks that there is such a method.
    fn is_method(&self, template: &str, variable: &str) -> bool {
        let template = self.files.templates.get(template);
        let methods = template.map(|template| template.scan.methods.as_slice());
        methods
            .unwrap_or_default()
            .iter()
            .any(|method| method == variable)
    }

    /// Whether a template tests the variable with `is defined`, or another one, which may include this one, binds it.
    fn is_bound_elsewhere(&self, template: &str, variable: &str) -> bool {
        self.files.templates.iter().any(|(name, other)| {
            let has = |names: &[String]| names.iter().any(|name| name == variable);
            has(&other.scan.tested) || (name != template && has(&other.scan.bound))
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
