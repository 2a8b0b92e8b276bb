//! The compiled templates of a campaign. Undefined variables are errors, HTML is escaped, and the cost of one rendering
//! is limited.

use super::analysis::{self, CellTest};
use super::body::Part;
use super::bounds;
use super::error::{Place, RenderError, RenderProblem, TemplateError};
use super::files::{Template, TemplateFiles};
use super::foreign_tags::{self, ForeignTag};
use super::functions;
use super::list_columns::ListColumns;
use super::typing;
use super::variables;
use crate::domain::chunk::MAX_MESSAGE_BYTES;
use crate::domain::digest::hex;
use crate::domain::recipient::RecipientRow;
use jiff::Zoned;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use ring::digest;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

/// Limit of engine instructions for one rendering: a thousand times those of a long newsletter, about 50 ms.
const FUEL: u64 = 2_000_000;

pub struct Templates {
    plain: Environment<'static>,
    /// The same templates, with values escaped.
    html: Environment<'static>,
    files: TemplateFiles,
    /// Names of the templates that stand in the campaign file.
    inline: Vec<String>,
}

impl Templates {
    /// Reads and compiles `files` of the directory, `inline` templates of the campaign file (name and source), and all
    /// templates that they include, extend or import. `origin`: name of the campaign file, for error messages.
    pub fn load(
        directory: &Path,
        origin: &str,
        files: &[&str],
        inline: &[(&str, &str)],
    ) -> Result<Templates, TemplateError> {
        let mut found = TemplateFiles::new(directory);
        for (name, source) in inline {
            found.add_inline(name, source)?;
        }
        for name in files {
            found.add_file(name, origin)?;
        }
        Ok(Templates {
            plain: compile(&found, Part::Plain)?,
            html: compile(&found, Part::Html)?,
            files: found,
            inline: inline.iter().map(|(name, _)| name.to_string()).collect(),
        })
    }

    /// SHA-256 in hexadecimal of each template file that a message can depend on, by its name in the directory.
    pub fn sources(&self) -> BTreeMap<String, String> {
        let files = self.files.templates.iter();
        files
            .filter(|(name, _)| !self.inline.contains(name))
            .map(|(name, template)| {
                let hash = digest::digest(&digest::SHA256, template.source.as_bytes());
                (name.clone(), hex(hash.as_ref()))
            })
            .collect()
    }

    /// Checks that each variable is a column, is bound by a template, or is guarded by `default` or `is defined`, and
    /// that no cell is used as what it is not. Returns the uses that only the cells prove wrong.
    /// `recipients`: name of the list, for error messages.
    pub fn check(
        &self,
        columns: ListColumns<'_>,
        recipients: &str,
    ) -> Result<Vec<CellTest>, TemplateError> {
        variables::check(&self.plain, &self.files, columns, recipients)?;
        analysis::analyse(&self.files, columns)
    }

    /// The columns that any template can use.
    pub fn used_columns(&self, columns: &[String]) -> Vec<String> {
        let all: Vec<String> = self.files.templates.keys().cloned().collect();
        variables::columns_used_by(&all, &self.files, columns)
    }

    /// Merge tags of other programs in all templates.
    pub fn foreign_tags(&self, columns: &[String]) -> Vec<ForeignTag> {
        foreign_tags::find(&self.files, columns)
    }

    /// The columns that subject and headers can depend on. Their cells may not contain line breaks.
    pub fn header_columns(&self, columns: &[String]) -> Vec<String> {
        variables::columns_used_by(&self.inline, &self.files, columns)
    }

    /// `what`: for which part of a message, and the name of the template.
    pub fn render(&self, what: (Part, &str), values: &Value) -> Result<String, RenderFailure> {
        let (environment, name) = match what {
            (Part::Plain, name) => (&self.plain, name),
            (Part::Html, name) => (&self.html, name),
        };
        let source = self.files.templates.get(name).map(|found| &found.source);
        let mut output = BoundedBuffer {
            // Most outputs are a little longer than the source.
            bytes: Vec::with_capacity(source.map_or(0, |source| source.len() * 3 / 2)),
        };
        bounds::begin();
        let rendered = environment
            .get_template(name)
            .and_then(|template| template.render_captured_to(values, &mut output).map(|_| ()));
        rendered.map_err(|error| self.failure(&error))?;
        String::from_utf8(output.bytes).map_err(|error| RenderFailure {
            at: name.to_string(),
            what: error.to_string(),
        })
    }

    /// The same for the message of a row, with the row in the error.
    pub fn render_for(
        &self,
        what: (Part, &str),
        values: &Value,
        row: &RecipientRow,
    ) -> Result<String, RenderError> {
        self.render(what, values).map_err(|failure| {
            RenderError::new(row, &failure.at, RenderProblem::Template(failure.what))
        })
    }

    fn failure(&self, error: &minijinja::Error) -> RenderFailure {
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
        RenderFailure {
            at,
            what: text(cause),
        }
    }
}

/// Why a template could not be rendered.
pub struct RenderFailure {
    /// `templates/spring.html:12`.
    pub at: String,
    pub what: String,
}

/// Output of a rendering, not longer than a message may be: a loop over a long text must not fill the memory.
struct BoundedBuffer {
    bytes: Vec<u8>,
}

impl Write for BoundedBuffer {
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

fn compile(files: &TemplateFiles, part: Part) -> Result<Environment<'static>, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(false);
    functions::add(&mut environment, &Zoned::now());
    bounds::add(&mut environment);
    environment.set_auto_escape_callback(move |_| match part {
        Part::Plain => AutoEscape::None,
        Part::Html => AutoEscape::Html,
    });
    for (name, template) in &files.templates {
        // Errors name positions of the template as it is written.
        let added = environment
            .template_from_named_str(name, &template.source)
            .map(drop)
            .and_then(|()| {
                environment.add_template_owned(name.clone(), bounds::bounded(&template.source))
            });
        added.map_err(|error| syntax_error(&error, template))?;
    }
    Ok(environment)
}

fn syntax_error(error: &minijinja::Error, template: &Template) -> TemplateError {
    match typing::find(&template.source) {
        Some(slip) => TemplateError::Slip {
            place: Place::of(&template.shown, &template.source, slip.at),
            what: slip.what,
        },
        None => TemplateError::Syntax {
            place: syntax_place(error, &template.shown, &template.source),
            what: text(error),
        },
    }
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

/// The error of the template that failed. The engine wraps it in one error for each template that includes it.
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
