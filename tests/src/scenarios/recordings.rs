//! A recording read again says what the run itself said.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::lab::{Folder, Lab, Namespace, until};
use crate::netdrop::{Netdrop, run_to_end};
use crate::report::Watcher as _;
use crate::runner::Bench;
use crate::scenario::System;

const PATIENCE: Duration = Duration::from_secs(30);

/// What tables are made by: counted rows, and rows from details.
const TABLES: [&str; 4] = ["site,reason,device,netns,proto", "function", "flow", "reason,src,port"];

pub fn table() -> Vec<System> {
    vec![
        System::new("report-says-what-watch-said", |bench| {
            same_tables(bench, "drops.jsonl.zst", "site,reason,device,netns,proto", &TABLES)
        }),
        System::new("report-of-the-same-rows", |bench| same_tables(bench, "drops.jsonl", "flow", &["flow"])),
        System::new("report-of-rotated-files", rotated),
    ]
}

/// Watches the same drops several times at once: once recorded by `recorded_by`, and as text by each of `tables`.
fn same_tables(bench: &Bench, name: &str, recorded_by: &str, tables: &[&str]) -> Result<()> {
    let folder = Folder::create()?;
    let recording = folder.file(name);
    let lab = Lab::alone()?;
    let inode = lab.receiver.inode().to_string();
    let common = ["--all", "--netns", &inode, "--by"];
    let text_of = |by: &str| folder.file(&format!("{by}.txt"));
    let start = |arguments: &[&str]| Netdrop::start(&bench.netdrop, &[&common, arguments].concat());
    let mut runs = vec![start(&[recorded_by, "--output", &recording])?];
    for by in tables {
        runs.push(start(&[by, "--format", "text", "--output", &text_of(by)])?);
    }
    let witness = Netdrop::start(&bench.netdrop, &["--netns", &inode])?;
    drops(&lab.receiver)?;
    until("the drops to be counted", PATIENCE, || {
        Ok((witness.so_far().count(|_| true) >= DROPS).then_some(()))
    })?;
    for mut run in runs {
        run.signal(Signal::SIGINT)?;
        let (status, _, stderr) = run.wait()?;
        ensure!(status.success(), "{status}: {}", stderr.trim());
    }
    for by in tables {
        let path = text_of(by);
        let watched = std::fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
        let reported = report(bench, &["--by", by, "--format", "text", &recording])?;
        let (watched, reported) = (last_table(&watched), last_table(&reported));
        ensure!(watched.len() > 1, "watch --by {by} shows no rows");
        ensure!(
            watched == reported,
            "--by {by}\n  watch:\n{}\n  report:\n{}",
            watched.join("\n"),
            reported.join("\n")
        );
    }
    Ok(())
}

/// A recording in several files, given youngest first, has all drops, whatever its rows are by.
fn rotated(bench: &Bench) -> Result<()> {
    let folder = Folder::create()?;
    let recording = folder.file("drops.jsonl");
    let lab = Lab::alone()?;
    let inode = lab.receiver.inode().to_string();
    let arguments = ["--all", "--netns", &inode, "--output", &recording, "--rotate", "4K", "--keep", "99"];
    let mut run = Netdrop::start(&bench.netdrop, &arguments)?;
    let witness = Netdrop::start(&bench.netdrop, &["--netns", &inode])?;
    drops(&lab.receiver)?;
    until("the drops to be counted", PATIENCE, || {
        Ok((witness.so_far().count(|_| true) >= DROPS).then_some(()))
    })?;
    run.signal(Signal::SIGINT)?;
    run.wait()?;
    let parts = (1..99).map(|number| format!("{recording}.{number}"));
    let parts: Vec<String> = parts.take_while(|part| std::path::Path::new(part).exists()).collect();
    ensure!(parts.len() > 1, "{} older files are no rotation", parts.len());
    let files = std::iter::once(recording.as_str()).chain(parts.iter().map(String::as_str));
    for by in ["reason", "flow"] {
        let arguments: Vec<&str> =
            ["--by", by, "--format", "json"].into_iter().chain(files.clone()).collect();
        let end: serde_json::Value = serde_json::from_str(&report(bench, &arguments)?)?;
        let rows = end["rows"].as_array().context("rows")?;
        let count: u64 = rows.iter().filter_map(|row| row["count"].as_u64()).sum();
        ensure!(count == DROPS, "--by {by}: {count} of {DROPS}: {end}");
        ensure!(rows.iter().all(|row| row["other"].is_null()), "--by {by}: details are missing: {end}");
    }
    Ok(())
}

fn report(bench: &Bench, arguments: &[&str]) -> Result<String> {
    let ended = run_to_end(Command::new(&bench.netdrop).arg("report").args(arguments))?;
    ensure!(ended.code == Some(0), "report ended with {:?}: {}", ended.code, ended.stderr.trim());
    ensure!(ended.stderr.is_empty(), "report complains: {}", ended.stderr.trim());
    Ok(ended.stdout)
}

/// The rows of the table at the end and their titles: time and the machine's other drops differ from run to run.
fn last_table(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let title = lines.iter().rposition(|line| line.contains("SHARE")).unwrap_or(lines.len());
    lines[title..].iter().take_while(|line| **line != "#").copied().collect()
}

/// Datagrams of three flows.
const FLOWS: [(u16, u64); 3] = [(9, 20), (19, 7), (29, 1)];
const DROPS: u64 = 28;

fn drops(namespace: &Namespace) -> Result<()> {
    let socket = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    for (port, count) in FLOWS {
        for _ in 0..count {
            socket.send_to(b"hey", ("127.0.0.1", port))?;
        }
    }
    Ok(())
}
