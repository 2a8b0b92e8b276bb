//! `mailq bounce`: explain and test how replies are classified.

use super::output::{Format, Listing};
use super::{Exit, Failure, Global, output};
use crate::bounce::classify;
use crate::bounded_file;
use crate::config::Flags;
use crate::domain::duration;
use crate::domain::outcome::{Class, Reply, Stage, Verdict};
use crate::engine::policy::{Circumstances, Schedule, after_rejection};
use crate::protocol::Outcome;
use crate::smtp::parse_reply;
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Explain and test how SMTP replies are classified
///
/// Replies are classified as replies to RCPT TO.
#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Explain a reply: its class, reason, scope and retry, and the rule that matched
    Explain {
        /// SMTP reply, for example "550 5.1.1 user unknown"
        #[arg(value_name = "REPLY")]
        reply: String,
    },
    /// Classify replies, one per line; prints reply, class, reason and scope, separated by tabs
    ///
    /// With `--json`: one JSON document per line, with the rule that matched.
    Classify {
        /// File of replies, or `-` for stdin
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
    },
    /// Classify replies, compare with the expected classes and print the accuracy; exits with 1 below 100 %
    Test {
        /// File with a reply, a tab and the expected class per line, or `-` for stdin
        #[arg(value_name = "FILE.tsv")]
        file: PathBuf,
    },
}

/// A longer line is read as several lines. No reply is that long.
const MAX_LINE_BYTES: u64 = 64 * 1024;

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    match &args.verb {
        Verb::Explain { reply } => explain(reply, global),
        Verb::Classify { file } => classify_lines(file, global),
        Verb::Test { file } => test(file, global),
    }
}

fn explain(text: &str, global: &Global) -> Result<Exit, Failure> {
    let reply = parse_reply(text.as_bytes());
    let verdict = classify(Stage::RcptTo, &reply);
    let loaded = global.load(None, Flags::default())?;
    let schedule = Schedule::from(&loaded.settings.retry);
    let retry_after = retry_after(&reply, &verdict, &schedule);
    if global.json {
        let mut document = document(&verdict);
        document.insert("retry".into(), json!(retry_after.is_some()));
        document.insert(
            "retry_after_seconds".into(),
            json!(retry_after.map(|delay| delay.as_secs_f64())),
        );
        output::json(&document)?;
        return Ok(Exit::Done);
    }
    let retry = match retry_after {
        Some(delay) => format!("after {}", duration::human(delay)),
        None => "never".to_string(),
    };
    output::lines(&output::fields(&[
        ("class", verdict.class.to_string()),
        ("reason", verdict.reason.to_string()),
        ("scope", verdict.scope.to_string()),
        ("retry", retry),
        ("rule", verdict.rule.to_string()),
    ]))?;
    Ok(Exit::Done)
}

/// The delay of the retry if a first attempt gets this reply. `None`: no retry.
fn retry_after(reply: &Reply, verdict: &Verdict, schedule: &Schedule) -> Option<Duration> {
    let (outcome, _) = after_rejection(
        Stage::RcptTo,
        reply,
        verdict,
        &Circumstances::default(),
        schedule,
    );
    match outcome {
        Some(Outcome::Retry { delay, .. }) => Some(delay),
        _ => None,
    }
}

fn document(verdict: &Verdict) -> Map<String, Value> {
    [
        ("class", json!(verdict.class)),
        ("reason", json!(verdict.reason)),
        ("scope", json!(verdict.scope)),
        ("rule", json!(verdict.rule)),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into_iter()
    .collect()
}

fn classify_lines(file: &Path, global: &Global) -> Result<Exit, Failure> {
    let mut lines = Lines::open(file)?;
    let format = match global.json {
        true => Format::JsonLines { is_live: false },
        false => Format::Tabs,
    };
    let mut list = Listing::new(format, &[])?;
    while let Some(line) = lines.next()? {
        let verdict = classify(Stage::RcptTo, &parse_reply(line.as_bytes()));
        let with_reply = || {
            let mut document = document(&verdict);
            document.insert("reply".into(), json!(line));
            document
        };
        let cells = || {
            vec![
                line.as_str().into(),
                verdict.class.to_string().into(),
                verdict.reason.to_string().into(),
                verdict.scope.to_string().into(),
            ]
        };
        list.add(with_reply, cells)?;
    }
    list.finish()?;
    Ok(Exit::Done)
}

const FORM: &str = "each line is a reply, a tab, and `temporary`, `soft` or `hard`";

/// A reply whose class is not the expected one.
struct Miss {
    line: u64,
    reply: String,
    expected: Class,
    verdict: Verdict,
}

fn test(file: &Path, global: &Global) -> Result<Exit, Failure> {
    let mut lines = Lines::open(file)?;
    let (mut total, mut misses) = (0_u64, Vec::new());
    while let Some(line) = lines.next()? {
        if line.trim().is_empty() {
            continue;
        }
        let (reply, expected) = expected(&line, &lines)?;
        total += 1;
        let verdict = classify(Stage::RcptTo, &parse_reply(reply.as_bytes()));
        if verdict.class != expected {
            misses.push(Miss {
                line: lines.number,
                reply: reply.to_string(),
                expected,
                verdict,
            });
        }
    }
    if total == 0 {
        let what = format!("`{}` has no replies; nothing was tested", lines.name);
        return Err(Failure::usage(what).with_hint(FORM));
    }
    let right = total - misses.len() as u64;
    let accuracy = right as f64 / total as f64;
    let exit = match misses.is_empty() {
        true => Exit::Done,
        false => Exit::NeedsAttention,
    };
    if global.json {
        let missed: Vec<Value> = misses.iter().map(Miss::document).collect();
        output::json(&json!({
            "replies": total, "right": right, "accuracy": accuracy, "misses": missed,
        }))?;
        return Ok(exit);
    }
    for miss in &misses {
        let Miss {
            line,
            reply,
            expected,
            verdict,
        } = miss;
        output::line(format!(
            "{}:{line}: expected {expected}, got {} ({}): {reply}",
            lines.name, verdict.class, verdict.rule
        ))?;
    }
    output::line(format!(
        "accuracy {:.2} % ({right} of {total})",
        accuracy * 100.0
    ))?;
    Ok(exit)
}

impl Miss {
    fn document(&self) -> Value {
        let mut document = document(&self.verdict);
        document.insert("line".into(), json!(self.line));
        document.insert("reply".into(), json!(self.reply));
        document.insert("expected".into(), json!(self.expected));
        Value::Object(document)
    }
}

fn expected<'a>(line: &'a str, lines: &Lines) -> Result<(&'a str, Class), Failure> {
    let place = format!("{}:{}", lines.name, lines.number);
    let wrong = |what: String| Failure::usage(format!("{place}: {what}")).with_hint(FORM);
    let (reply, class) = line
        .rsplit_once('\t')
        .ok_or_else(|| wrong("no tab and class after the reply".into()))?;
    let class = class.trim();
    match class.parse() {
        Ok(class) => Ok((reply, class)),
        Err(_) => {
            let shown: String = class.chars().take(80).collect();
            Err(wrong(format!("`{shown}` is not a class")))
        }
    }
}

/// Lines of a file or of stdin. Long lines are split and invalid UTF-8 is replaced.
struct Lines {
    name: String,
    source: Box<dyn BufRead>,
    /// Number of the last line, from 1.
    number: u64,
}

impl Lines {
    fn open(file: &Path) -> Result<Lines, Failure> {
        let is_stdin = file.to_str() == Some("-");
        let (name, source): (String, Box<dyn BufRead>) = if is_stdin {
            ("stdin".into(), Box::new(BufReader::new(std::io::stdin())))
        } else {
            let name = file.display().to_string();
            let opened = bounded_file::open_stream(file).map_err(|error| {
                Failure::usage(format!("cannot read `{name}`"))
                    .caused_by(&error)
                    .with_hint("check the path; `-` is stdin")
            })?;
            (name, Box::new(BufReader::new(opened)))
        };
        Ok(Lines {
            name,
            source,
            number: 0,
        })
    }

    fn next(&mut self) -> Result<Option<String>, Failure> {
        let mut bytes = Vec::new();
        let read = Read::take(&mut self.source, MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
        let count = read.map_err(|error| {
            Failure::usage(format!("cannot read the rest of `{}`", self.name))
                .caused_by(&error)
                .with_hint("check the file: it must be text")
        })?;
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        let text = String::from_utf8_lossy(&bytes);
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_string()))
    }
}
