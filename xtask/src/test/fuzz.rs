//! A short run of every fuzz target: long enough to see that it still builds and holds on what it finds first.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};

use crate::tally::Tally;
use crate::workspace;

const SECONDS_EACH: u32 = 10;

/// Targets at a time: each has one thread, and while one runs the next is built.
const PARALLEL: usize = 2;

/// Good inputs to begin with, by target: folders of the repository.
const SEEDS: [(&str, &str); 9] = [
    ("btf", "netdrop/tests/fixtures/btf"),
    ("cgroup_path", "fuzz/seeds/cgroup_path"),
    ("counters", "fuzz/seeds/counters"),
    ("debug_info", "netdrop/tests/fixtures/debug_info"),
    ("decode", "fuzz/seeds/decode"),
    ("filter", "fuzz/seeds/filter"),
    ("process_files", "fuzz/seeds/process_files"),
    ("recording", "fuzz/seeds/recording"),
    ("rules", "fuzz/seeds/rules"),
];

/// Each target counts as one.
pub fn run(notes: &mut Vec<String>) -> Result<Tally> {
    let skip = |notes: &mut Vec<String>, why: &str| {
        notes.push(format!("skipped: {why}"));
        Ok(Tally::SKIPPED)
    };
    if !workspace::root().join("fuzz/Cargo.toml").is_file() {
        return skip(notes, "there is no fuzz/Cargo.toml");
    }
    let Some(program) = workspace::which("cargo-fuzz") else {
        return skip(notes, "cargo-fuzz is not installed");
    };
    let targets = workspace::stdout(cargo_fuzz(&program).arg("list"))?;
    let queue = Mutex::new(targets.lines());
    let next = || queue.lock().expect("no target's thread panics").next();
    let ended = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let result = one(&program, target);
                    ended.lock().expect("no target's thread panics").push((target, result));
                }
            });
        }
    });
    let mut tally = Tally::default();
    for (target, result) in ended.into_inner().expect("no target's thread panics") {
        match result {
            Ok(()) => tally += Tally::PASSED,
            Err(error) => {
                notes.push(format!("{target} FAILED: {error:#}"));
                print_end_of(&log_of(target));
                tally += Tally::FAILED;
            }
        }
    }
    Ok(tally)
}

fn cargo_fuzz(program: &Path) -> Command {
    // It runs beside other stages, and isn't to be in their way (nice(1)).
    let mut command = Command::new("nice");
    command
        .args(["-n", "19"])
        .arg(program)
        .current_dir(workspace::root())
        .env("CARGO_TARGET_DIR", workspace::target().join("fuzz"));
    command.env("CARGO", workspace::cargo().get_program()).arg("fuzz");
    command
}

/// libFuzzer is talkative: what it says matters when it finds something.
fn log_of(target: &str) -> PathBuf {
    workspace::target().join(format!("fuzz-{target}.log"))
}

/// Builds a target and runs it for a short time.
fn one(program: &Path, target: &str) -> Result<()> {
    let log = log_of(target);
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    println!("{target}: {SECONDS_EACH} s, log in {}", log.display());
    // Findings go to the first folder, so the seeds come second.
    let corpus = workspace::root().join("fuzz/corpus").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    let seeds =
        SEEDS.iter().filter(|(name, _)| *name == target).map(|(_, folder)| workspace::root().join(folder));
    // Without a sanitizer a stable compiler will do; safe Rust has little for it to find.
    workspace::run(
        cargo_fuzz(program)
            .args(["run", "--sanitizer", "none", target])
            .arg(&corpus)
            .args(seeds)
            .args(["--", "-max_len=40000", "-timeout=5", "-verbosity=0", "-print_final_stats=1"])
            .arg(format!("-max_total_time={SECONDS_EACH}"))
            .stderr(output),
    )
}

fn print_end_of(log: &Path) {
    const LINES: usize = 40;
    // A log may quote the input's bytes as they are.
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LINES)..] {
        println!("{line}");
    }
}
