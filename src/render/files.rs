//! Reads the templates of a campaign and whatever they include, extend or import, from inside one directory. After
//! this nothing is read any more, so a template cannot change while messages are rendered.

use super::error::{Place, TemplateError};
use super::scan::{Scan, Wanted, scan};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A template file may have as many bytes.
const MAX_TEMPLATE_BYTES: u64 = 4 << 20;
/// Where a template's name is only known when it is rendered, so many files of the directory are taken in.
const MAX_FILES: usize = 1000;
const MAX_DEPTH: usize = 8;

/// One template: its source and what was found in it.
pub struct Template {
    /// For messages: `templates/spring.html`, or `campaigns/spring.toml: subject`.
    pub shown: String,
    pub source: String,
    pub scan: Scan,
}

/// Templates by name. Names of files are relative to the directory, with `/`.
pub struct Files {
    directory: PathBuf,
    pub templates: BTreeMap<String, Template>,
}

impl Files {
    pub fn new(directory: &Path) -> Files {
        Files {
            directory: directory.to_path_buf(),
            templates: BTreeMap::new(),
        }
    }

    /// Takes in a template that is no file, and all that it wants.
    pub fn add_text(&mut self, name: &str, source: &str) -> Result<(), TemplateError> {
        self.add(name, name.to_string(), source.to_string());
        self.follow(name)
    }

    /// Takes in a file, and all that it wants. `wanted_by` says where its name stands.
    pub fn add_file(&mut self, name: &str, wanted_by: &str) -> Result<(), TemplateError> {
        if self.read(name, wanted_by)? {
            return self.follow(name);
        }
        Err(TemplateError::Missing {
            wanted_by: wanted_by.to_string(),
            name: name.to_string(),
            directory: self.directory.display().to_string(),
        })
    }

    fn add(&mut self, name: &str, shown: String, source: String) {
        let template = Template {
            scan: scan(&source),
            shown,
            source,
        };
        self.templates.insert(name.to_string(), template);
    }

    /// Breadth first over what is wanted, each template once.
    fn follow(&mut self, name: &str) -> Result<(), TemplateError> {
        let mut open = self.wishes(name);
        while let Some((wanted_by, name, may_be_missing)) = open.pop() {
            if self.templates.contains_key(&name) {
                continue;
            }
            if self.read(&name, &wanted_by)? {
                open.extend(self.wishes(&name));
            } else if !may_be_missing {
                return Err(TemplateError::Missing {
                    wanted_by,
                    name,
                    directory: self.directory.display().to_string(),
                });
            }
        }
        Ok(())
    }

    /// (where, name, may be missing) of what a template wants.
    fn wishes(&self, name: &str) -> Vec<(String, String, bool)> {
        let Some(template) = self.templates.get(name) else {
            return Vec::new();
        };
        let place = |wanted: &Wanted| Place::of(&template.shown, &template.source, wanted.at);
        let mut wishes = Vec::new();
        for wanted in &template.scan.wanted {
            let wanted_by = place(wanted).to_string();
            match &wanted.name {
                Some(name) => wishes.push((wanted_by, name.clone(), wanted.may_be_missing)),
                None => {
                    let all = self.all_names().into_iter();
                    wishes.extend(all.map(|name| (wanted_by.clone(), name, true)));
                }
            }
        }
        wishes
    }

    /// Every file that may be meant by a name that only rendering knows.
    fn all_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.directory, "", 0, &mut names);
        names.sort_unstable();
        names
    }

    /// `false` if there is no such file.
    fn read(&mut self, name: &str, wanted_by: &str) -> Result<bool, TemplateError> {
        let outside = || TemplateError::Outside {
            wanted_by: wanted_by.to_string(),
            name: name.to_string(),
        };
        if !is_plain(name) {
            return Err(outside());
        }
        let directory_name = self.directory.file_name().unwrap_or_default();
        let shown = format!("{}/{name}", directory_name.to_string_lossy());
        let unreadable = |what: String| TemplateError::Unreadable {
            file: shown.clone(),
            what,
        };
        let (Ok(root), Ok(path)) = (
            self.directory.canonicalize(),
            self.directory.join(name).canonicalize(),
        ) else {
            return Ok(false);
        };
        // A symbolic link may point out of the directory though the name does not.
        if !path.starts_with(&root) {
            return Err(outside());
        }
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if bytes > MAX_TEMPLATE_BYTES {
            let what = format!("{bytes} bytes long (at most {MAX_TEMPLATE_BYTES})");
            return Err(unreadable(what));
        }
        let source = fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let source =
            String::from_utf8(source).map_err(|_| unreadable("not valid UTF-8".to_string()))?;
        let source = source.strip_prefix('\u{FEFF}').unwrap_or(&source);
        self.add(name, shown, source.to_string());
        Ok(true)
    }
}

/// A relative path without `..`, `.`, `\` or NUL.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    !name.is_empty()
        && !name.contains(['\\', '\0'])
        && components.all(|component| matches!(component, Component::Normal(_)))
}

fn collect(directory: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let (Ok(kind), Ok(file_name)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        if names.len() >= MAX_FILES || file_name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{file_name}");
        if kind.is_file() && has_template_ending(&name) {
            names.push(name);
        } else if kind.is_dir() && depth < MAX_DEPTH {
            collect(&entry.path(), &format!("{name}/"), depth + 1, names);
        }
    }
}

/// Pictures and the like are no templates.
fn has_template_ending(name: &str) -> bool {
    let ending = name.rsplit('.').next().unwrap_or_default();
    matches!(ending, "html" | "htm" | "txt" | "j2" | "jinja" | "jinja2")
}
