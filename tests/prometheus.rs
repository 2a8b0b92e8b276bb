//! `promtool` reads what mailq gives to Prometheus: the page of a worker, the alerts with their own tests, and what the
//! dashboard asks for. The tests skip themselves where it is not installed.

use crate::verbs::metrics::served_page;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

fn promtool() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&folders).map(|folder| folder.join("promtool"));
    let found = all.find(|path| path.exists());
    if found.is_none() {
        let why = "promtool is not installed (Debian package `prometheus`)";
        assert!(
            std::env::var_os("CI").is_none(),
            "in CI this must run: {why}"
        );
        println!("skipped: {why}");
    }
    found
}

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}

fn passes(command: &mut Command) {
    let ran = command.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{command:?}\n{out}\n{err}");
}

#[test]
fn alerts_are_valid_and_fire_as_their_tests_say() {
    let Some(promtool) = promtool() else { return };
    let folder = deploy("prometheus");
    let mut check = Command::new(&promtool);
    passes(
        check
            .args(["check", "rules", "alerts.yml"])
            .current_dir(&folder),
    );
    let mut test = Command::new(&promtool);
    passes(
        test.args(["test", "rules", "alerts_test.yml"])
            .current_dir(&folder),
    );
}

#[test]
fn the_dashboard_asks_in_valid_expressions() {
    let Some(promtool) = promtool() else { return };
    let text = fs::read_to_string(deploy("grafana/mailq.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let rules: Vec<Value> = targets
        .enumerate()
        .map(|(number, target)| {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression
                .replace("$instance", ".*")
                .replace("$campaign", ".*");
            json!({"record": format!("panel:{number}"), "expr": expression})
        })
        .collect();
    assert!(!rules.is_empty());
    let folder = TempDir::new().unwrap();
    // JSON is YAML.
    let rules = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    fs::write(folder.path().join("dashboard.yml"), rules.to_string()).unwrap();
    let mut check = Command::new(promtool);
    passes(
        check
            .args(["check", "rules", "dashboard.yml"])
            .current_dir(&folder),
    );
}

#[test]
fn the_page_of_a_worker_follows_the_rules_of_prometheus() {
    let Some(promtool) = promtool() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("page");
    fs::write(&path, served_page()).unwrap();
    let page = fs::File::open(&path).unwrap();
    let mut check = Command::new(promtool);
    passes(check.args(["check", "metrics"]).stdin(Stdio::from(page)));
}
