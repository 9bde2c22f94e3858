//! `netdrop check`.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

use clap::{Args, ValueEnum};

use super::Exit;
use super::output::print;
use crate::check::{Finding, Verdict, check};
use crate::kernel::identity::Identity;
use crate::knowledge::class_of;
use crate::output::Color;

/// `netdrop check`.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
pub struct Check {
    /// How the findings are written
    #[arg(short, long, value_enum, default_value_t = CheckFormat::Text)]
    format: CheckFormat,
    /// List the drop reasons that this kernel knows, with their classes, instead
    #[arg(long)]
    reasons: bool,
    /// Colour [NO_COLOR is honoured]
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CheckFormat {
    /// A line a finding
    Text,
    /// One JSON object a line
    Json,
}

impl Check {
    /// Prints what this kernel allows; fails when `watch` can't work.
    pub fn run(&self) -> anyhow::Result<()> {
        if self.reasons {
            return list_reasons();
        }
        let findings = check(Path::new("/"));
        let color = self.color.enabled(
            std::io::stdout().is_terminal(),
            std::env::var_os("NO_COLOR").as_deref(),
            std::env::var_os("TERM").as_deref(),
        );
        let lines: String = match self.format {
            CheckFormat::Text => findings.iter().map(|finding| text(finding, color)).collect(),
            CheckFormat::Json => findings.iter().map(json).collect(),
        };
        print(lines.as_bytes())?;
        let broken: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Broken).collect();
        match broken.first() {
            None => Ok(()),
            Some(first) => {
                Err(Exit::Unable(format!("watch can't work here: {} ({})", first.consequence, first.name))
                    .into())
            }
        }
    }
}

const NAME_WIDTH: usize = 20;

fn text(finding: &Finding, color: bool) -> String {
    let (mark, paint) = match finding.verdict {
        Verdict::Good => ("ok  ", "\x1b[32m"),
        Verdict::Limited => ("less", "\x1b[33m"),
        Verdict::Broken => ("no  ", "\x1b[31m"),
    };
    let mark = if color { format!("{paint}{mark}\x1b[0m") } else { mark.to_owned() };
    format!("{mark}  {:NAME_WIDTH$}  {}: {}\n", finding.name, finding.found, finding.consequence)
}

fn json(finding: &Finding) -> String {
    let mut line = serde_json::to_string(finding).expect("a finding is strings alone");
    line.push('\n');
    line
}

fn list_reasons() -> anyhow::Result<()> {
    let mut reasons = Identity::read(Path::new("/")).map_err(Exit::from)?.reasons;
    reasons.search_all(Path::new("/"));
    let mut lines = String::new();
    for (number, name) in reasons.iter() {
        let class = class_of(Some(name), None).as_str();
        let subsystem = reasons.subsystem(number).map_or("", |name| name);
        let _ = writeln!(lines, "{number:>7}  {class:11}  {subsystem:18}  {name}");
    }
    print(lines.as_bytes())
}
