//! `--print-config`: each setting in force and its source.

use super::failure::{Exit, Failure};
use super::{Global, output};
use crate::config::Loaded;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

/// `key = value  # source`, aligned; with `--json` a list of `{key, value, source}` and the project.
pub fn run(loaded: &Loaded, global: &Global) -> Result<Exit, Failure> {
    let project = loaded.project.root.display().to_string();
    let origins = &loaded.settings.origins;
    if global.json {
        let settings: Vec<_> = origins
            .iter()
            .map(|origin| {
                json!({"key": origin.key, "value": origin.value, "source": origin.source.to_string()})
            })
            .collect();
        let file = loaded.project.file.as_ref();
        output::json(&json!({
            "project": project,
            "file": file.map(|file| file.display().to_string()),
            "settings": settings,
        }))?;
        return Ok(Exit::Done);
    }
    output::line(format!("# project {project}"))?;
    let rows: Vec<(String, String)> = origins
        .iter()
        .map(|origin| {
            (
                format!("{} = {:?}", origin.key, origin.value),
                origin.source.to_string(),
            )
        })
        .collect();
    // A longer line, such as a list of brokers, must not push all sources to the right.
    let width = rows.iter().map(|(text, _)| text.width()).max();
    let width = width.unwrap_or(0).min(60);
    for (text, source) in rows {
        output::line(format!("{}  # {source}", output::padded(&text, width)))?;
    }
    Ok(Exit::Done)
}
