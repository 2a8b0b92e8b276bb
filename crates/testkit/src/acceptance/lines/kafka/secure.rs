//! SCRAM over TLS with access lists: all verbs work with what docs/kafka.md documents, and each right that is taken away
//! gets a message of its own.

use crate::acceptance::Setting;
use crate::acceptance::lines::keeping;
use crate::acceptance::lines::kill::CLEAN_STOP;
use crate::acceptance::process::Process;
use crate::acceptance::project::{Project, tail};
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use crate::kafka::{Cluster, Listener, Options, PASSWORD, USER};
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

const ENV: &str = "secure";
const GROUP: &str = "secure.mail";
const TOPICS: &str = "secure.mail.";
/// Space is given back each minute, and at the end.
const TELLS_WITHIN: Duration = Duration::from_secs(20);
/// As documented, on topics and on the group.
const TOPIC_RIGHTS: [&str; 6] = [
    "Describe",
    "Read",
    "Write",
    "Delete",
    "Create",
    "DescribeConfigs",
];

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count)?;
    let server = Server::accepting(1, population)?;
    let options = Options {
        secure: true,
        ..Options::default()
    };
    let cluster = Cluster::start(1, &options);
    keeping(project(setting, &cluster)?, |project| {
        let secure = Secure {
            project,
            cluster: &cluster,
            relay: server.url(0),
        };
        secure.wrong_password(report)?;
        secure.creates(report)?;
        let csv = project.campaign("secure", 0, population)?;
        secure.everything_works(&csv, report)?;
        let all = server.ledger().reached();
        report.expect("delivered", all, u64::from(population));
        secure.each_right(&csv, report)
    })
}

fn project(setting: &Setting, cluster: &Cluster) -> anyhow::Result<Project> {
    let settings = format!(
        "queue = \"kafka://{}\"\nenv = \"{ENV}\"\n[kafka]\nsasl_password_file = \"password\"\n[kafka.properties]\n\
         \"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanisms\" = \"SCRAM-SHA-512\"\n\
         \"sasl.username\" = \"{USER}\"\n\"ssl.ca.location\" = \"{}\"\n",
        cluster.brokers_at(Listener::SaslTls),
        cluster.authority().display()
    );
    let project = Project::new(setting, &settings)?;
    fs::write(project.path().join("password"), PASSWORD)?;
    Ok(project)
}

struct Secure<'a> {
    project: &'a Project,
    cluster: &'a Cluster,
    relay: String,
}

impl Secure<'_> {
    fn on_topics(&self, change: &str, right: &str) {
        let kind = ["--topic", TOPICS, "--resource-pattern-type", "prefixed"];
        self.acl(change, right, &kind);
    }

    fn on_group(&self, change: &str, right: &str) {
        self.acl(change, right, &["--group", GROUP]);
    }

    fn acl(&self, change: &str, right: &str, kind: &[&str]) {
        let who = format!("User:{USER}");
        let mut all = vec![change, "--allow-principal", &who, "--operation", right];
        if change == "--remove" {
            all.push("--force");
        }
        all.extend(kind);
        self.cluster.tool("acls", &all);
    }

    fn wrong_password(&self, report: &mut Report) -> anyhow::Result<()> {
        let path = self.project.path().join("password");
        fs::write(&path, "wrong")?;
        self.refused(
            "a wrong password",
            &["topics", "init"],
            &["login", "password"],
            report,
        )?;
        Ok(fs::write(&path, PASSWORD)?)
    }

    /// Must fail, and say one of these words. Returns all that it said.
    fn refused(
        &self,
        what: &str,
        arguments: &[&str],
        words: &[&str],
        report: &mut Report,
    ) -> anyhow::Result<String> {
        let output = self.project.output(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // A crash on the way out is no answer either.
        let code = output.status.code().unwrap_or(-1);
        report.figure(format!("{what}: {code}"), tail(&said));
        report.check(
            code > 0 && words.iter().any(|word| said.contains(word)),
            format_args!("{what}: `mailq {}` does not say so", arguments.join(" ")),
        );
        report.check(
            !said.contains(PASSWORD),
            format_args!("{what}: the password is printed"),
        );
        Ok(said)
    }

    fn creates(&self, report: &mut Report) -> anyhow::Result<()> {
        for right in TOPIC_RIGHTS.iter().filter(|right| **right != "Create") {
            self.on_topics("--add", right);
        }
        self.on_group("--add", "Read");
        let words = ["operation `Create` on topic"];
        self.refused("without Create", &["topics", "init"], &words, report)?;
        self.on_topics("--add", "Create");
        self.project.call(&["topics", "init"]).map(|_| ())
    }

    fn send(&self) -> [&str; 6] {
        [
            "send",
            "--drain",
            "--rate",
            "unlimited",
            "--relay",
            &self.relay,
        ]
    }

    fn everything_works(&self, csv: &str, report: &mut Report) -> anyhow::Result<()> {
        let send = self.send();
        let verbs: [&[&str]; 14] = [
            &["topics", "describe"],
            &["enqueue", csv],
            &["pause", "secure"],
            &["resume", "secure"],
            &["suppress", "add", "nobody@nowhere.example"],
            &send,
            &["status"],
            &["verify"],
            &["recipients", "secure"],
            &["events"],
            &["dlq", "list"],
            &["dlq", "replay"],
            &["dlq", "purge", "--all"],
            &["recover"],
        ];
        for arguments in verbs {
            let output = self.project.call(arguments)?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            report.check(
                !said.contains("access list"),
                format_args!("`mailq {}`: {}", arguments.join(" "), tail(&said)),
            );
        }
        report.figure("verbs that work with the documented rights", verbs.len());
        Ok(())
    }

    fn each_right(&self, csv: &str, report: &mut Report) -> anyhow::Result<()> {
        let send = self.send();
        let again = ["enqueue", csv, "--run", "again"];
        self.without_on_topics("DescribeConfigs", &["topics", "describe"], report)?;
        self.without_on_topics("Read", &send, report)?;
        self.without_on_topics("Write", &again, report)?;
        self.project.call(&again)?;
        self.on_topics("--remove", "Delete");
        let words = "operation `Delete` on topic";
        self.told_by_a_worker("without Delete on topics", words, report)?;
        self.on_topics("--add", "Delete");
        self.group_rights(csv, report)?;
        // Read, Write and the like contain Describe: it is missing only where they are.
        self.on_topics("--remove", "Describe");
        self.project.call(&["status"])?;
        for right in TOPIC_RIGHTS.iter().filter(|right| **right != "Describe") {
            self.on_topics("--remove", right);
        }
        let words = ["operation `Describe` on topic"];
        self.refused("without Describe on topics", &["status"], &words, report)?;
        Ok(())
    }

    fn without_on_topics(
        &self,
        right: &str,
        arguments: &[&str],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.on_topics("--remove", right);
        let words = format!("operation `{right}` on topic");
        self.refused(
            &format!("without {right} on topics"),
            arguments,
            &[&words],
            report,
        )?;
        self.on_topics("--add", right);
        Ok(())
    }

    /// Mail goes on without this right; the worker says so.
    fn told_by_a_worker(&self, what: &str, words: &str, report: &mut Report) -> anyhow::Result<()> {
        let name = what.replace(' ', "-");
        let arguments = ["send", "--rate", "unlimited", "--relay", &self.relay];
        let mut worker = Process::start(self.project, &name, &arguments)?;
        let began_at = Instant::now();
        while began_at.elapsed() < TELLS_WITHIN && !worker.words().contains(words) {
            std::thread::sleep(Duration::from_millis(50));
        }
        worker.signal(Signal::TERM)?;
        worker.wait_for_success(CLEAN_STOP)?;
        let said = worker.words();
        let line = said.lines().find(|line| line.contains(words));
        report.figure(what, line.unwrap_or("nothing"));
        report.check(
            line.is_some(),
            format_args!("{what}: a worker does not say so"),
        );
        Ok(())
    }

    /// Those who only look need Describe, which Read contains.
    fn group_rights(&self, csv: &str, report: &mut Report) -> anyhow::Result<()> {
        // A worker without anything to do is done before it has heard.
        self.project.call(&["enqueue", csv, "--run", "refused"])?;
        self.on_group("--remove", "Read");
        let words = ["on group `secure.mail`"];
        self.refused(
            "without any right on the group",
            &["status"],
            &words,
            report,
        )?;
        self.on_group("--add", "Describe");
        self.project.call(&["status"])?;
        let words = ["operation `Read` on group"];
        self.refused("without Read on the group", &self.send(), &words, report)?;
        self.on_group("--remove", "Describe");
        self.on_group("--add", "Read");
        Ok(())
    }
}
