//! A mailq project in a folder of its own: `mailq.toml`, templates, generated campaigns; and calls of `mailq` in it.

use super::Setting;
use anyhow::{Context, bail};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Recipients are spread over so many domains.
const SITES: u32 = 7;

/// Of a recipient.
pub fn site_of(number: u32) -> u32 {
    number % SITES
}

pub struct Project {
    folder: Option<TempDir>,
    path: PathBuf,
    mailq: PathBuf,
}

impl Project {
    /// `settings`: what stands in `mailq.toml`.
    pub fn new(setting: &Setting, settings: &str) -> anyhow::Result<Project> {
        let folder = tempfile::Builder::new()
            .prefix("mailq-acceptance-")
            .tempdir()?;
        let path = folder.path().to_path_buf();
        fs::create_dir(path.join("templates"))?;
        fs::write(path.join("mailq.toml"), settings)?;
        Ok(Project {
            path,
            folder: Some(folder),
            mailq: fs::canonicalize(&setting.mailq)?,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `NAME.csv` and `NAME.toml` for the recipients `first..first + count`. Returns the CSV's name.
    pub fn campaign(&self, name: &str, first: u32, count: u32) -> anyhow::Result<String> {
        self.campaign_of_size(name, first, count, 600)
    }

    /// As `campaign`, each message about so many bytes long.
    pub fn campaign_of_size(
        &self,
        name: &str,
        first: u32,
        count: u32,
        bytes: usize,
    ) -> anyhow::Result<String> {
        let numbers: Vec<u32> = (first..first + count).collect();
        self.campaign_of(name, &numbers, bytes)
    }

    /// As `campaign_of_size`, for these recipients in this order.
    pub fn campaign_of(&self, name: &str, numbers: &[u32], bytes: usize) -> anyhow::Result<String> {
        self.campaign_at_sites(name, numbers, bytes, &site_of)
    }

    /// As `campaign_of`; the function says the site of each recipient.
    pub fn campaign_at_sites(
        &self,
        name: &str,
        numbers: &[u32],
        bytes: usize,
        site_of: &dyn Fn(u32) -> u32,
    ) -> anyhow::Result<String> {
        let csv = format!("{name}.csv");
        let mut file = BufWriter::new(File::create(self.path.join(&csv))?);
        writeln!(file, "email,name,city")?;
        for number in numbers {
            let site = site_of(*number);
            writeln!(
                file,
                "u{number}@site{site}.example,Name {number},City {site}"
            )?;
        }
        file.flush()?;
        fs::write(
            self.path.join(format!("{name}.toml")),
            format!(
                "from = \"Acceptance <from@sender.example>\"\nsubject = \"To {{{{ name }}}}\"\ntext = \"{name}.txt\"\n"
            ),
        )?;
        let line = "The quick brown fox of {{ city }} jumps over the lazy dog.\n";
        // The header takes about 350 bytes.
        let lines = bytes.saturating_sub(350) / (line.len() - 5);
        let text = format!("Dear {{{{ name }}}},\n\n{}", line.repeat(lines.max(1)));
        fs::write(self.path.join(format!("templates/{name}.txt")), text)?;
        Ok(csv)
    }

    /// Of one recipient.
    pub fn address(number: u32) -> String {
        format!("u{number}@site{}.example", site_of(number))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.mailq);
        // What stands in the caller's environment is none of this project's settings.
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| is_setting(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(&self.path)
            .stdin(Stdio::null());
        command
    }

    /// Where the standard error of a process named so is collected.
    pub fn log(&self, name: &str) -> anyhow::Result<File> {
        let path = self.path.join(format!("{name}.log"));
        Ok(OpenOptions::new().create(true).append(true).open(path)?)
    }

    /// Runs to the end, whatever the exit code.
    pub fn output(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let called = format!("mailq {}", arguments.join(" "));
        self.command(arguments).output().context(called)
    }

    /// Runs to the end, which must be good.
    pub fn call(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            bail!(
                "`mailq {}` ended with {}: {}",
                arguments.join(" "),
                output.status,
                tail(&String::from_utf8_lossy(&output.stderr))
            );
        }
        Ok(output)
    }

    /// What `mailq … --json` prints, whatever the exit code.
    pub fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut all = arguments.to_vec();
        all.push("--json");
        let output = self.output(&all)?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "`mailq {}` ended with {} and printed no JSON: {}",
                all.join(" "),
                output.status,
                tail(&String::from_utf8_lossy(&output.stderr))
            )
        })
    }

    /// Keeps the folder for a look at what went wrong.
    pub fn keep(&mut self) -> &Path {
        if let Some(folder) = self.folder.take() {
            let _ = folder.keep();
        }
        &self.path
    }
}

fn is_setting(variable: &str) -> bool {
    ["MAILQ_", "SMTP_", "EMAIL_SMTP_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
        || ["CONFIG_FILE", "MAX_WORKERS", "LOG_LEVEL"].contains(&variable)
}

/// The last lines of a log.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(6).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
