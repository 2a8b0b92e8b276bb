//! The templates of a campaign, compiled: strict about undefined variables, escaping in HTML only, with a limit on what
//! one rendering may cost.

use super::error::{Place, TemplateError};
use super::files::Files;
use super::variables;
use crate::domain::chunk::MAX_MESSAGE_BYTES;
use crate::domain::digest::hex;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use ring::digest;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

/// Instructions that one rendering may take: a thousand times what a long newsletter does, about 50 ms.
const FUEL: u64 = 2_000_000;

pub struct Templates {
    environment: Environment<'static>,
    files: Files,
    /// Names of the texts that are no files.
    texts: Vec<String>,
}

impl Templates {
    /// Reads `files` from the directory, with all that they and the texts include, extend or import, and compiles
    /// everything. `texts` are (name, source): what stands in the campaign file itself. `origin` names that file.
    pub fn load(
        directory: &Path,
        origin: &str,
        files: &[&str],
        texts: &[(String, String)],
    ) -> Result<Templates, TemplateError> {
        let mut found = Files::new(directory);
        for (name, source) in texts {
            found.add_text(name, source)?;
        }
        for name in files {
            found.add_file(name, origin)?;
        }
        let environment = compile(&found)?;
        Ok(Templates {
            environment,
            files: found,
            texts: texts.iter().map(|(name, _)| name.clone()).collect(),
        })
    }

    /// SHA-256 in hexadecimal of each template file that a message can depend on, by its name in the directory.
    pub fn sources(&self) -> BTreeMap<String, String> {
        let files = self.files.templates.iter();
        files
            .filter(|(name, _)| !self.texts.contains(name))
            .map(|(name, template)| {
                let hash = digest::digest(&digest::SHA256, template.source.as_bytes());
                (name.clone(), hex(hash.as_ref()))
            })
            .collect()
    }

    /// Every variable of every template must be a column, be bound by the template, or be guarded by `default` or
    /// `is defined`. `recipients` is the list's name for messages.
    pub fn check(&self, columns: &[String], recipients: &str) -> Result<(), TemplateError> {
        variables::check(&self.environment, &self.files, columns, recipients)
    }

    /// The columns that the texts (subject and headers) may depend on: their cells must hold no line breaks.
    pub fn header_columns(&self, columns: &[String]) -> Vec<String> {
        variables::columns_of(&self.files, &self.texts, columns)
    }

    /// Whether there is anything to render in it.
    pub fn is_constant(&self, name: &str) -> bool {
        let source = self.files.templates.get(name).map(|found| &found.source);
        source.is_none_or(|source| !source.contains('{'))
    }

    /// Errors: the place as `templates/spring.html:12`, and what happened.
    pub fn render(&self, name: &str, values: &Value) -> Result<String, (String, String)> {
        let source = self.files.templates.get(name).map(|found| &found.source);
        let mut output = Bounded {
            // Values and included templates make most outputs a little longer than the source.
            bytes: Vec::with_capacity(source.map_or(0, |source| source.len() * 3 / 2)),
        };
        let rendered = self
            .environment
            .get_template(name)
            .and_then(|template| template.render_captured_to(values, &mut output).map(|_| ()));
        rendered.map_err(|error| self.described(&error))?;
        String::from_utf8(output.bytes).map_err(|error| (name.to_string(), error.to_string()))
    }

    fn described(&self, error: &minijinja::Error) -> (String, String) {
        let cause = innermost(error);
        let name = cause.name().unwrap_or_default();
        let shown = match self.files.templates.get(name) {
            Some(template) => &template.shown,
            None => name,
        };
        let at = match cause.line() {
            Some(line) => format!("{shown}:{line}"),
            None => shown.to_string(),
        };
        (at, text(cause))
    }
}

/// Takes no more than a message may have, so that a loop over a long text cannot fill the memory.
struct Bounded {
    bytes: Vec<u8>,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + piece.len() > MAX_MESSAGE_BYTES {
            let what = format!("more than {MAX_MESSAGE_BYTES} bytes");
            return Err(io::Error::other(what));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compile(files: &Files) -> Result<Environment<'static>, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(false);
    environment.set_auto_escape_callback(|name| match is_html(name) {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    for (name, template) in &files.templates {
        let added = environment.add_template_owned(name.clone(), template.source.clone());
        added.map_err(|error| TemplateError::Syntax {
            place: syntax_place(&error, &template.shown, &template.source),
            what: text(&error),
        })?;
    }
    Ok(environment)
}

/// `page.html`, also as `page.html.j2`. Texts of the campaign file are called `…: subject` and the like.
fn is_html(name: &str) -> bool {
    let name = ["j2", "jinja", "jinja2"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'))
        .unwrap_or(name);
    name.ends_with(".html") || name.ends_with(".htm") || name.ends_with(".xhtml")
}

fn syntax_place(error: &minijinja::Error, shown: &str, source: &str) -> Place {
    if let Some(range) = error.range() {
        return Place::of(shown, source, range.start);
    }
    let line = error.line().unwrap_or(1);
    let text = source.lines().nth(line - 1).unwrap_or_default();
    let indent = text.len() - text.trim_start().len();
    Place {
        file: shown.to_string(),
        line,
        column: indent + 1,
    }
}

/// An error in an included template is wrapped in those of the templates that include it.
fn innermost(error: &minijinja::Error) -> &minijinja::Error {
    let mut cause = error;
    while let Some(source) = cause.source().and_then(|s| s.downcast_ref()) {
        cause = source;
    }
    cause
}

fn text(error: &minijinja::Error) -> String {
    let written = error.source().and_then(|cause| cause.downcast_ref());
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("more than {FUEL} steps; the template may contain an endless loop");
    }
    match (error.detail(), written) {
        (_, Some(cause)) if error.kind() == ErrorKind::WriteFailure => io::Error::to_string(cause),
        (Some(detail), _) => format!("{}: {detail}", error.kind()),
        (None, _) => error.kind().to_string(),
    }
}
