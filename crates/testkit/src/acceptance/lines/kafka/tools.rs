//! What docs/kafka.md shows under "Looking inside": kcat and Kafka's own tools read the topics, gunzip reads a chunk.

use super::{LONG_SESSION, Queue, one};
use crate::acceptance::Setting;
use crate::acceptance::lines::enqueue_kill::drain;
use crate::acceptance::lines::keeping;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read;
use std::process::Command;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count)?;
    let server = Server::accepting(1, population)?;
    let queue = Queue::new(one(), LONG_SESSION);
    keeping(queue.project(setting, "")?, |project| {
        let csv = project.campaign("tools", 0, population)?;
        project.call(&["enqueue", &csv])?;
        let tools = Tools {
            queue: &queue,
            project,
        };
        tools.read_chunks(population, report)?;
        drain(project, &server)?;
        tools.read_events(population, report)?;
        tools.ask_kafka(report)
    })
}

struct Tools<'a> {
    queue: &'a Queue<'a>,
    project: &'a Project,
}

impl Tools<'_> {
    fn topic(&self, name: &str) -> String {
        format!("{}.mail.{name}.v1", self.queue.env)
    }

    fn kcat(&self, topic: &str, more: &[&str]) -> anyhow::Result<Vec<u8>> {
        let brokers = self.queue.cluster.brokers();
        let mut all = vec![
            "-C",
            "-b",
            &brokers,
            "-t",
            topic,
            "-o",
            "beginning",
            "-e",
            "-q",
        ];
        all.extend(more);
        let output = Command::new("kcat")
            .args(&all)
            .output()
            .context("kcat (Debian package kcat)")?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("kcat {}: {}: {words}", all.join(" "), output.status);
        }
        Ok(output.stdout)
    }

    /// Each partition's first chunk by itself, through gunzip: the addresses of all of them are the list's.
    fn read_chunks(&self, population: u32, report: &mut Report) -> anyhow::Result<()> {
        let send = self.topic("send");
        let headers = self.kcat(&send, &["-f", "%p/%o %h\n"])?;
        let headers = String::from_utf8(headers)?;
        let places: Vec<&str> = headers
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        report.expect("chunks", places.len(), population.div_ceil(500) as usize);
        let line = headers.lines().next().unwrap_or_default();
        report.figure("a chunk's headers", line);
        let mut addresses = BTreeSet::new();
        for place in places {
            let (partition, offset) = place.split_once('/').context("no place")?;
            let one = ["-p", partition, "-o", offset, "-c", "1", "-D", ""];
            let text = self.gunzip(&self.kcat(&send, &one)?)?;
            let lines = text.lines().filter(|line| line.starts_with("{\"row\":"));
            for line in lines {
                let message: Value = serde_json::from_str(line)?;
                let address = message["address"].as_str().context("no address")?;
                addresses.insert(address.to_string());
            }
        }
        report.expect("addresses in chunks", addresses.len(), population as usize);
        Ok(())
    }

    /// By the program, not by a library.
    fn gunzip(&self, bytes: &[u8]) -> anyhow::Result<String> {
        let path = self.project.path().join("chunk.gz");
        std::fs::write(&path, bytes)?;
        let output = Command::new("gunzip").arg("-c").arg(&path).output()?;
        if !output.status.success() {
            bail!("gunzip: {}", String::from_utf8_lossy(&output.stderr));
        }
        let mut text = String::new();
        output.stdout.as_slice().read_to_string(&mut text)?;
        Ok(text)
    }

    fn read_events(&self, population: u32, report: &mut Report) -> anyhow::Result<()> {
        let by_kcat = String::from_utf8(self.kcat(&self.topic("event"), &[])?)?;
        let mut delivered = BTreeSet::new();
        for line in by_kcat.lines() {
            let event: Value = serde_json::from_str(line)?;
            if event["header"]["eventType"] == "mail.delivered" {
                delivered.insert(event["payload"]["address"].to_string());
            }
        }
        report.expect("delivered, by kcat", delivered.len(), population as usize);
        let topic = self.topic("event");
        let arguments = [
            "--topic",
            &topic,
            "--from-beginning",
            "--timeout-ms",
            "8000",
        ];
        let by_console = self.queue.cluster.tool("console-consumer", &arguments);
        // It prints its own log, that its time is up, in between.
        let records = |text: &str| {
            let lines = text.lines().filter(|line| line.starts_with('{'));
            lines.map(str::to_string).collect::<BTreeSet<_>>()
        };
        let by_console = records(&by_console);
        report.figure("events, by the console consumer", by_console.len());
        report.check(
            by_console == records(&by_kcat),
            "the console consumer and kcat read different events",
        );
        Ok(())
    }

    /// After everything was sent nothing is behind, and nobody has moved the group's offsets.
    fn ask_kafka(&self, report: &mut Report) -> anyhow::Result<()> {
        let group = self.queue.group();
        let cluster = self.queue.cluster;
        let described = cluster.tool("groups", &["--describe", "--group", &group]);
        let send = self.topic("send");
        let rows = described.lines().filter(|line| line.contains(&send));
        let lags: Vec<&str> = rows
            .filter_map(|row| row.split_whitespace().nth(5))
            .collect();
        report.expect("partitions the group has offsets of", lags.len(), 12);
        let behind = lags.iter().filter(|lag| **lag != "0").count();
        report.expect("of them behind", behind, 0);
        let topics = cluster.tool("topics", &["--list"]);
        let own = topics
            .lines()
            .filter(|name| name.starts_with(&self.queue.env));
        report.figure("topics listed", own.count());
        let verified = self.project.json(&["verify"])?;
        report.check(
            verified["ok"] == true,
            format_args!("verify: {}", verified["findings"]),
        );
        Ok(())
    }
}
