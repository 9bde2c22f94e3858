//! What `deploy/` ships for Prometheus and Grafana: checked by promtool, and against the list of netdrop's metrics.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use netdrop_tests::lab::{Folder, Skip};
use netdrop_tests::scenario::{Case, System};
use serde_json::Value;

/// All of this file.
pub fn cases() -> Vec<Case> {
    vec![
        Case::System(System::new("deploy-rules-are-valid", |_| {
            promtool(&["check", "rules", "--lint=all", "--lint-fatal"], "rules.yml")
        })),
        Case::System(System::new("deploy-rules-fire-when-they-should", |_| {
            promtool(&["test", "rules"], "rules_test.yml")
        })),
        Case::System(System::new("deploy-rules-compare-weeks", |_| compares_weeks())),
        Case::System(System::new("deploy-expressions-parse", |_| expressions_parse())),
        Case::System(System::new("deploy-metrics-exist", |_| metrics_exist())),
        Case::System(System::new("deploy-dashboard-is-whole", |_| dashboard_is_whole())),
    ]
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn promtool(arguments: &[&str], file: &str) -> Result<()> {
    promtool_in(&deploy().join("prometheus"), arguments, file)
}

/// A week is made two hours, as the test's file says.
fn compares_weeks() -> Result<()> {
    const TEST: &str = "rules_surge_test.yml";
    let (from, folder) = (deploy().join("prometheus"), Folder::create()?);
    let rules = fs::read_to_string(from.join("rules.yml"))?;
    ensure!(rules.contains("offset 1w"), "no rule looks back a week");
    fs::write(folder.file("rules.yml"), rules.replace("offset 1w", "offset 2h"))?;
    fs::copy(from.join(TEST), folder.file(TEST))?;
    promtool_in(Path::new(&folder.file("")), &["test", "rules"], TEST)
}

fn promtool_in(folder: &Path, arguments: &[&str], file: &str) -> Result<()> {
    let run = Command::new("promtool").args(arguments).arg(file).current_dir(folder).output();
    let output = match run {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Skip("promtool isn't installed (Debian: prometheus)".into()).into());
        }
        run => run?,
    };
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    Ok(())
}

/// What dashboard and rules use; the daemon must serve all of it (`prometheus.rs`).
pub fn known() -> Result<BTreeSet<String>> {
    let list = fs::read_to_string(deploy().join("prometheus/metrics.txt"))?;
    Ok(list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}

/// Words of an expression that are metrics: netdrop's own, and the process's.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
    // A recorded one has a colon.
    words.filter(|word| (word.starts_with("netdrop_") || word.starts_with("process_")) && !word.contains(':'))
}

fn dashboard() -> Result<Value> {
    let path = deploy().join("grafana/netdrop.json");
    serde_json::from_str(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())
}

/// All strings under this key.
fn strings<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let (true, Value::String(text)) = (name == key, member) {
                    found.push(text);
                }
                strings(member, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, key, found)),
        _ => {}
    }
}

/// The expressions of docs/fleet.md, each under a comment that says what it asks.
fn documented() -> Result<Vec<String>> {
    let text = fs::read_to_string(deploy().join("../docs/fleet.md"))?;
    let (_, rest) = text.split_once("```promql\n").context("no block of PromQL in docs/fleet.md")?;
    let (block, _) = rest.split_once("```").context("a block without an end")?;
    let mut expressions: Vec<String> = Vec::new();
    for line in block.lines() {
        match expressions.last_mut() {
            _ if line.starts_with('#') => expressions.push(String::new()),
            Some(expression) => expression.extend([line.trim(), " "]),
            None => bail!("an expression without a comment: {line}"),
        }
    }
    Ok(expressions)
}

/// promtool reads them as rules; Grafana's variables are given values.
fn expressions_parse() -> Result<()> {
    let dashboard = dashboard()?;
    let mut found = Vec::new();
    strings(&dashboard, "expr", &mut found);
    let expressions =
        found.into_iter().map(|text| text.replace("$__rate_interval", "5m").replace("$__range", "3h"));
    let rules: Vec<Value> = expressions
        .chain(documented()?)
        .enumerate()
        .map(
            |(number, expr)| serde_json::json!({"record": format!("test:expression:{number}"), "expr": expr}),
        )
        .collect();
    ensure!(rules.len() > 15, "{} expressions", rules.len());
    let folder = Folder::create()?;
    let file = folder.file("expressions.yml");
    // JSON is YAML.
    fs::write(&file, serde_json::json!({"groups": [{"name": "expressions", "rules": rules}]}).to_string())?;
    promtool(&["check", "rules"], &file)
}

fn metrics_exist() -> Result<()> {
    let known = known()?;
    let rules = fs::read_to_string(deploy().join("prometheus/rules.yml"))?;
    let dashboard = dashboard()?;
    let mut expressions = Vec::new();
    strings(&dashboard, "expr", &mut expressions);
    strings(&dashboard, "definition", &mut expressions);
    ensure!(expressions.len() > 8, "the dashboard has {} expressions", expressions.len());
    let code = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    let documented = documented()?;
    let documented = documented.iter().map(String::as_str);
    let used: BTreeSet<&str> =
        expressions.into_iter().chain(documented).chain(code).flat_map(metrics).collect();
    ensure!(used.contains("netdrop_drops_total"), "netdrop_drops_total isn't used");
    let unknown: Vec<_> = used.iter().filter(|name| !known.contains(**name)).collect();
    ensure!(unknown.is_empty(), "metrics that netdrop doesn't have: {unknown:?}");
    Ok(())
}

/// Panels have their own numbers and don't overlap; each asks something of the data source that is chosen.
fn dashboard_is_whole() -> Result<()> {
    let dashboard = dashboard()?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut numbers = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().context("a panel without a title")?;
        ensure!(
            numbers.insert(panel["id"].as_u64().context("a panel without a number")?),
            "{title}: its number is another's"
        );
        let at = |key: &str| panel["gridPos"][key].as_u64().with_context(|| format!("{title}: no {key}"));
        let (x, y, w, h) = (at("x")?, at("y")?, at("w")?, at("h")?);
        ensure!(x + w <= 24, "{title}: wider than the page");
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row))) {
            ensure!(places.insert(cell), "{title}: lies over another panel at {cell:?}");
        }
        if panel["type"] == "row" {
            continue;
        }
        ensure!(panel["datasource"]["uid"] == "${datasource}", "{title}: another data source");
        ensure!(
            panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()),
            "{title}: asks nothing"
        );
    }
    for wanted in
        ["class", "reason", "function", "device", "node", "Details lost", "Own memory", "Top findings"]
    {
        let mentions = |panel: &Value| panel["title"].as_str().is_some_and(|title| title.contains(wanted));
        if !panels.iter().any(mentions) {
            bail!("no panel for {wanted}");
        }
    }
    Ok(())
}
