//! `mailq preview`: one recipient's message as it would be sent.

use super::campaign::Campaign;
use super::{Exit, Failure, Global, output};
use crate::config::Flags;
use crate::recipients::Options;
use crate::smtp::date;
use serde_json::json;
use std::path::PathBuf;
use std::time::SystemTime;

/// Print one recipient's message as it would be sent
///
/// Prints decoded header fields, then the text part, or the HTML part if there is no text part. `--json` contains both
/// parts and the message as the relay would receive it. The Message-ID is a placeholder.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Campaign file
    #[arg(value_name = "CAMPAIGN.toml")]
    pub campaign: PathBuf,

    /// Row of the recipients CSV; the first row below the header is 1
    ///
    /// Rows that get no mail count here. In `row` of other commands' JSON they do not.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub row: u64,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let loaded = global.load(Some(&args.campaign), Flags::default())?;
    let campaign = Campaign::load(&args.campaign, None, &loaded, Options::default())?;
    let row = campaign.row(args.row)?;
    let domain = campaign.composer.message_id_domain();
    let message_id = format!("preview-{}@{domain}", args.row);
    let composed = campaign.composer.compose(&row, &message_id)?;
    let clear = campaign.composer.render(&row)?;
    let date = date::field(SystemTime::now());
    if global.json {
        let message = String::from_utf8_lossy(&composed.bytes);
        output::json(&json!({
            "campaign": campaign.file.name,
            "row": args.row,
            "line": row.line,
            "address": row.address.as_str(),
            "return_path": campaign.composer.return_path(),
            "message_id": message_id,
            "headers": clear.fields,
            "text": clear.text,
            "html": clear.html,
            "bytes": date.len() + composed.bytes.len(),
            "message": format!("{date}{message}"),
        }))?;
        return Ok(Exit::Done);
    }
    for (name, value) in &clear.fields {
        output::line(format!("{name}: {value}"))?;
    }
    output::line("")?;
    match (&clear.text, &clear.html) {
        (Some(text), Some(html)) => {
            body(text)?;
            global.say(format!(
                "not shown: an HTML part of {} bytes, which `--json` contains",
                html.len()
            ));
        }
        (Some(only), None) | (None, Some(only)) => body(only)?,
        (None, None) => {}
    }
    Ok(Exit::Done)
}

fn body(text: &str) -> Result<(), Failure> {
    let text = text.trim_end_matches(['\r', '\n']);
    output::text(format!("{text}\n").as_bytes())
}
