//! What the acceptance lines share, and the list of them. tests/acceptance.rs runs them small.

pub mod account;
pub mod lines;
pub mod process;
pub mod project;
pub mod report;
pub mod server;
pub mod workbook;

use anyhow::Context;
use report::Report;
use std::path::PathBuf;

/// What a line is told.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The program under test.
    pub mailq: PathBuf,
    /// Recipients, kills or seconds: each line says which.
    pub count: u64,
    pub seed: u64,
}

impl Setting {
    pub fn random(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed)
    }
}

pub type Line = fn(&Setting, &mut Report) -> anyhow::Result<()>;

/// (name, count of the full run, line)
pub type Known = (&'static str, u64, Line);

pub fn lines_known() -> Vec<Known> {
    #[cfg(feature = "kafka")]
    let over_kafka = lines::kafka::LINES;
    #[cfg(not(feature = "kafka"))]
    let over_kafka: &[Known] = &[];
    [LINES, over_kafka].concat()
}

const LINES: &[Known] = &[
    ("million", 1_000_000, lines::million::run),
    ("kill", 100, lines::kill::run),
    ("term", 100, lines::kill::run_term),
    ("pause", 10, lines::pause::run),
    ("enqueue-kill", 30, lines::enqueue_kill::run),
    ("rate", 600, lines::rate::run),
    ("replies", 500, lines::replies::run),
    ("smtp-source", 100_000, lines::smtp_source::run),
    ("memory", 1_000_000, lines::memory::run),
    ("group", 1_000_000, lines::memory::run_group),
    ("sheet", 200_000, lines::memory::run_sheet),
    ("changed", 200, lines::changed::run),
    ("outage", 120, lines::outage::run),
    ("paused", 200_000, lines::paused::run),
    ("lanes", 200_000, lines::lanes::run),
    ("sites", 1_000_000, lines::sites::run),
    ("failover", 100_000, lines::failover::run),
    ("deferred", 1_000_000, lines::deferred::run),
    ("slow-stop", 50, lines::slow_stop::run),
    ("gone", 20, lines::gone::run),
    ("spread", 20_000, lines::spread::run),
];

pub fn about(name: &str, count: u64) -> String {
    let what = match name {
        "kill" => "SIGKILLs of a worker, 1,000 recipients for each",
        "term" => "SIGTERMs of a worker, 1,000 recipients for each",
        "pause" => "SIGSTOPs of a worker for three lease times",
        "enqueue-kill" => "SIGKILLs of enqueue, 10,000 recipients for each",
        "changed" | "kafka-changed" => {
            "SIGKILLs of run or enqueue with --replace, 50 recipients for each"
        }
        "rate" => "seconds at 30/min; 600/min takes three tenths of it",
        "outage" => "seconds without a relay",
        "slow-stop" | "kafka-slow-stop" => "clean stops, 40 recipients for each",
        "gone" => "queues that are removed, replaced or renamed, 400 recipients for each",
        "spread" => "recipients who are deferred once",
        "kafka-kill" | "kafka-kill-one" => "SIGKILLs of a worker, 10 to 20 s apart",
        "kafka-pause" | "kafka-pause-all" => "SIGSTOPs for three session timeouts",
        "kafka-cut" => "cuts of one worker from the broker for three session timeouts",
        "kafka-asleep" => "SIGSTOPs of the only broker for 13 s",
        "kafka-rolling" => "clean stops and changes of scale",
        "kafka-brokers" => "SIGKILLs of a broker of three",
        "kafka-enqueue-kill" => "SIGKILLs of enqueue, a third as many of a broker",
        "kafka-outage" => "seconds without a cluster, three times",
        "kafka-rate" => "seconds at 30/min and at 1200/min",
        _ => "recipients",
    };
    format!("COUNT: {what} [{count}]")
}

/// Runs a line; an error becomes a failure of the report. What it leaves behind is kept when it fails.
pub fn report_of(line: Line, setting: &Setting) -> Report {
    let mut report = Report::default();
    let looked = std::fs::metadata(&setting.mailq)
        .with_context(|| format!("no program at {}", setting.mailq.display()));
    if let Err(error) = looked.and_then(|_| line(setting, &mut report)) {
        report.fail(format!("{error:#}"));
    }
    report
}
