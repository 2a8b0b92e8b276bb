//! Reads the templates of a campaign and all templates that they include, extend or import, from one directory. Nothing
//! is read after that, so a template cannot change while messages are rendered.

use super::bounds::{self, Excess};
use super::error::{Place, TemplateError};
use super::scan::{Dependency, DependencyName, Scan, scan};
use crate::bounded_file;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Longest template file.
const MAX_TEMPLATE_BYTES: u64 = 4 << 20;
/// A template with a computed dependency needs every file of the directory. At most this many, in folders of at most
/// this depth; deeper folders are not searched.
const MAX_FILES: usize = 1000;
const MAX_DEPTH: usize = 8;

/// One template: its source and the results of its scan.
pub struct Template {
    /// Name in error messages: `templates/spring.html`, or `campaigns/spring.toml: subject`.
    pub shown: String,
    pub source: String,
    pub scan: Scan,
}

/// Templates by name. The name of a file is its path in the directory, with `/`.
pub struct TemplateFiles {
    directory: PathBuf,
    pub templates: BTreeMap<String, Template>,
}

/// A template that another one needs.
struct Needed {
    name: String,
    /// Where the name is: `templates/spring.html:3:12`.
    wanted_by: String,
    is_optional: bool,
}

impl TemplateFiles {
    pub fn new(directory: &Path) -> TemplateFiles {
        TemplateFiles {
            directory: directory.to_path_buf(),
            templates: BTreeMap::new(),
        }
    }

    /// Adds a template that is not a file, and all files that it needs.
    pub fn add_inline(&mut self, name: &str, source: &str) -> Result<(), TemplateError> {
        let needed = self.add(name, name.to_string(), source.to_string())?;
        self.add_all(needed)
    }

    /// Adds a file, and all files that it needs. `wanted_by`: what names the file, for error messages.
    pub fn add_file(&mut self, name: &str, wanted_by: &str) -> Result<(), TemplateError> {
        self.add_all(vec![Needed {
            name: name.to_string(),
            wanted_by: wanted_by.to_string(),
            is_optional: false,
        }])
    }

    /// Adds files and what they need, each file once.
    fn add_all(&mut self, mut needed: Vec<Needed>) -> Result<(), TemplateError> {
        while let Some(next) = needed.pop() {
            if self.templates.contains_key(&next.name) {
                continue;
            }
            match self.read(&next)? {
                Some((shown, source)) => needed.extend(self.add(&next.name, shown, source)?),
                None if next.is_optional => {}
                None => {
                    return Err(TemplateError::Missing {
                        wanted_by: next.wanted_by,
                        name: next.name,
                        directory: self.directory.display().to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Adds one template and returns what it needs.
    fn add(
        &mut self,
        name: &str,
        shown: String,
        source: String,
    ) -> Result<Vec<Needed>, TemplateError> {
        if let Some(Excess { at, what }) = bounds::excess(&source) {
            let place = Place::of(&shown, &source, at);
            return Err(TemplateError::Excess { place, what });
        }
        let template = Template {
            scan: scan(&source),
            shown,
            source,
        };
        let needed = self.needed_by(&template)?;
        self.templates.insert(name.to_string(), template);
        Ok(needed)
    }

    fn needed_by(&self, template: &Template) -> Result<Vec<Needed>, TemplateError> {
        let place = |dependency: &Dependency| {
            Place::of(&template.shown, &template.source, dependency.at).to_string()
        };
        let mut needed = Vec::new();
        for dependency in &template.scan.dependencies {
            let wanted_by = place(dependency);
            match &dependency.name {
                DependencyName::Known(name) => needed.push(Needed {
                    name: name.clone(),
                    wanted_by,
                    is_optional: dependency.is_optional,
                }),
                DependencyName::Like(..) => {
                    let all = self.all_names()?.into_iter();
                    let possible = all.filter(|name| dependency.name.may_be(name));
                    needed.extend(possible.map(|name| Needed {
                        name,
                        wanted_by: wanted_by.clone(),
                        is_optional: true,
                    }));
                }
            }
        }
        Ok(needed)
    }

    /// Every template file of the directory, sorted.
    fn all_names(&self) -> Result<Vec<String>, TemplateError> {
        let mut names = Vec::new();
        if self.directory.exists() {
            collect_names(&self.directory, "", 0, &mut names)?;
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Name for error messages and source of a file. `None` if there is no such file.
    fn read(&self, needed: &Needed) -> Result<Option<(String, String)>, TemplateError> {
        let outside = || TemplateError::Outside {
            wanted_by: needed.wanted_by.clone(),
            name: needed.name.clone(),
        };
        if !is_plain(&needed.name) {
            return Err(outside());
        }
        let directory_name = self.directory.file_name().unwrap_or_default();
        let name = needed.name.trim_start_matches("./");
        let shown = format!("{}/{name}", directory_name.to_string_lossy());
        let (root, path) = match self.resolve(&needed.name) {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(unreadable(&shown, error.to_string())),
        };
        // A symbolic link may lead out of the directory although the name does not.
        if !path.starts_with(&root) {
            return Err(outside());
        }
        let source = read_bounded(&path).map_err(|what| unreadable(&shown, what))?;
        Ok(Some((shown, source)))
    }

    /// The real paths of the directory and of a file in it.
    fn resolve(&self, name: &str) -> io::Result<(PathBuf, PathBuf)> {
        let root = self.directory.canonicalize()?;
        let path = self.directory.join(name).canonicalize()?;
        Ok((root, path))
    }
}

/// The text of a file without its byte order mark.
fn read_bounded(path: &Path) -> Result<String, String> {
    let text = bounded_file::read_text(path, MAX_TEMPLATE_BYTES);
    let text = text.map_err(|error| error.to_string())?;
    Ok(text.strip_prefix('\u{FEFF}').unwrap_or(&text).to_string())
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn unreadable(file: &str, what: String) -> TemplateError {
    TemplateError::Unreadable {
        file: file.to_string(),
        what,
    }
}

/// Whether a name is a relative path without `..`, `\` and NUL.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    !name.is_empty()
        && !name.contains(['\\', '\0'])
        && components.all(|part| matches!(part, Component::CurDir | Component::Normal(_)))
}

/// Collects the template files of a folder and of its subfolders. Hidden files are left out, and files whose names are
/// not UTF-8, because no template can name them.
fn collect_names(
    folder: &Path,
    prefix: &str,
    depth: usize,
    names: &mut Vec<String>,
) -> Result<(), TemplateError> {
    let failed = |error: io::Error| unreadable(&folder.display().to_string(), error.to_string());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let Ok(file_name) = entry.file_name().into_string() else {
            continue;
        };
        if file_name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{file_name}");
        if kind.is_file() && has_template_extension(&name) {
            if names.len() >= MAX_FILES {
                let what = format!("more than {MAX_FILES} templates");
                return Err(unreadable(&folder.display().to_string(), what));
            }
            names.push(name);
        } else if kind.is_dir() && depth < MAX_DEPTH {
            collect_names(&entry.path(), &format!("{name}/"), depth + 1, names)?;
        }
    }
    Ok(())
}

fn has_template_extension(name: &str) -> bool {
    let extension = name.rsplit('.').next().unwrap_or_default();
    matches!(
        extension,
        "html" | "htm" | "txt" | "j2" | "jinja" | "jinja2"
    )
}
