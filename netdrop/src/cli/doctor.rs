//! `netdrop doctor`.

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Exit;
use super::capture::identify;
use super::output::print;
use crate::daemon::{DoctorPlan, Examined, examine};
use crate::doctor::{Check, Extent, Home, Severity, chosen};
use crate::kernel::netns::Namespaces;
use crate::output::Color;
use crate::output::doctor::{self as written, Closing};
use crate::units::parse_duration;

/// The exit code when a finding is as bad as `--fail-on` says.
const FOUND: u8 = 3;
const EXAMPLES: &str = "\
Examples:
  netdrop doctor
  netdrop doctor --only udp,tcp --window 30s
  netdrop doctor --all-netns --format json --fail-on critical
  netdrop explain udp-receive-queue-full";

/// From counters and drops of some seconds to causes and remedies, the worst first.
///
/// The kernel's counters are read twice, and drops are counted in between. What moved is judged, named and explained, with the commands that help. They
/// are printed and never run: nothing on the host is changed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
pub struct Doctor {
    /// Time between the two readings, as in 5s, 1m
    #[arg(short, long, value_parser = parse_duration, default_value = "5s", value_name = "TIME")]
    window: Duration,
    /// Judge all that was counted since the boot instead: history, and never critical
    #[arg(long, conflicts_with = "window")]
    since_boot: bool,
    /// Check these areas or checks alone: softirq, neighbour, conntrack, udp, tcp, tcp-listen-overflow, …
    #[arg(long, value_name = "AREA,…", value_delimiter = ',')]
    only: Vec<String>,
    /// List the checks, and check nothing
    #[arg(short, long)]
    list: bool,
    /// Look at these network namespaces instead of netdrop's own: a name, an inode number, pid:N
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    netns: Vec<String>,
    /// Look at all network namespaces
    #[arg(long, conflicts_with = "netns")]
    all_netns: bool,
    /// How findings are written
    #[arg(short, long, value_enum, default_value_t = DoctorFormat::Text)]
    format: DoctorFormat,
    /// Exit with code 3 where a finding is that bad or worse: info, warning, critical
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// Colour [NO_COLOR is honoured]
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DoctorFormat {
    /// Paragraphs: evidence, cause, remedy
    Text,
    /// A line a finding
    Table,
    /// One JSON object a line (watch --schema describes them)
    Json,
}

impl Doctor {
    /// Examines and prints what was found.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let checks = chosen(&self.only).map_err(|error| Exit::Usage(error.to_string()))?;
        if self.list {
            print(written::list(&checks, Some(width()).filter(|_| on_terminal())).as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        let examined = examine(self.plan(checks)?);
        print(self.written(&examined).as_bytes())?;
        let worst = examined.diagnosis.findings.iter().map(|finding| finding.severity).max();
        let failed = self.fail_on.is_some_and(|least| worst.is_some_and(|worst| worst >= least));
        Ok(if failed { FOUND.into() } else { ExitCode::SUCCESS })
    }

    fn plan(&self, checks: Vec<&'static Check>) -> Result<DoctorPlan, Exit> {
        let window = Some(self.window).filter(|_| !self.since_boot);
        let identity = match window {
            Some(_) => identify(false).map_err(|error| error.to_string()),
            None => Err(String::new()),
        };
        let (homes, extent) = self.homes()?;
        Ok(DoctorPlan { checks, homes, extent, window, identity, begun: announce })
    }

    /// The namespaces to look at, netdrop's own first.
    fn homes(&self) -> Result<(Vec<Home>, Extent), Exit> {
        let mut namespaces = Namespaces::new(Path::new("/"));
        namespaces.refresh();
        let own = namespaces.own();
        let mut inodes: Vec<u32> = if self.all_netns {
            own.into_iter().chain(namespaces.iter().map(|(inode, _)| inode)).collect()
        } else if self.netns.is_empty() {
            vec![own.unwrap_or_default()]
        } else {
            let inode = |name: &String| {
                let inode = namespaces.inode_of(name).map_err(|error| Exit::Usage(error.to_string()))?;
                // A number may be any. Where it is pid:N, nothing but the process may lead there.
                if own == Some(inode) || namespaces.path(inode).is_some() || name.starts_with("pid:") {
                    return Ok(inode);
                }
                let help = "`ip netns list` and `lsns -t net` show those that are there";
                Err(Exit::Usage(format!("no network namespace has the number {inode}: {help}")))
            };
            self.netns.iter().map(inode).collect::<Result<_, _>>()?
        };
        let with_own = own.is_none_or(|own| inodes.contains(&own));
        // What the host has once is read where netdrop is.
        inodes.splice(0..0, own);
        let mut known = HashSet::new();
        inodes.retain(|inode| known.insert(*inode));
        let home = |inode: u32| {
            if own.is_none_or(|own| own == inode) {
                return Home { inode, ..Home::default() };
            }
            let name = namespaces.name(inode).map_or_else(|| inode.to_string(), Into::into);
            // Where nothing leads there, reading says so.
            let enter = namespaces.path(inode).map_or_else(|| name.clone().into(), Into::into);
            Home { inode, name: Some(name), enter: Some(enter) }
        };
        let extent = if with_own { Extent::All } else { Extent::FirstForHost };
        Ok((inodes.into_iter().map(home).collect(), extent))
    }

    fn written(&self, examined: &Examined) -> String {
        let Examined { diagnosis, lasted, drops } = examined;
        let closing = Closing {
            diagnosis,
            lasted: *lasted,
            since_boot: self.since_boot,
            drops: drops.as_ref().copied().map_err(String::as_str),
        };
        let findings = &diagnosis.findings;
        match self.format {
            DoctorFormat::Json => written::json(&closing),
            DoctorFormat::Table => {
                let width = Some(width()).filter(|_| on_terminal());
                written::table(findings, width, self.has_color()) + &written::closing(&closing, self::width())
            }
            DoctorFormat::Text => {
                let each = findings.iter();
                let write = if on_terminal() { written::finding } else { written::finding_uncut };
                let each = each.map(|one| write(one, width(), self.has_color()) + "\n");
                each.collect::<String>() + &written::closing(&closing, width())
            }
        }
    }

    fn has_color(&self) -> bool {
        let variable = |name| std::env::var_os(name);
        self.color.enabled(on_terminal(), variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
    }
}

/// One line on standard error: from here on it counts.
fn announce(counted: Result<(), &str>) {
    match counted {
        Ok(()) => eprintln!("netdrop: counters are read and drops counted; Ctrl-C ends the window now"),
        Err(why) => {
            eprintln!(
                "netdrop: counters are read, and drops not counted ({why}); Ctrl-C ends the window now"
            );
        }
    }
}

fn on_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// The terminal's columns; 100 elsewhere, and no line of prose is longer than people like to read.
fn width() -> usize {
    const WIDEST: u16 = 100;
    let columns = if on_terminal() {
        // One that nobody told its size has none.
        crossterm::terminal::size().map_or(WIDEST, |(columns, _)| if columns == 0 { WIDEST } else { columns })
    } else {
        WIDEST
    };
    columns.min(WIDEST).into()
}
