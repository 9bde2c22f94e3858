//! `netdrop explain`.

use std::fs::{self, File};
use std::io::{self, BufReader, IsTerminal as _};
use std::path::Path;

use clap::{Args, ValueEnum};

use super::Exit;
use super::output::print;
use crate::kernel::btf::Btf;
use crate::kernel::features::Features;
use crate::kernel::reasons::Reasons;
use crate::kernel::symbols::{Symbols, SymbolsError};
use crate::knowledge::{self, Answer, AskError, Class, Kernel};
use crate::output::{Color, explain};

/// What people ask for most.
const EXAMPLES: &str = "\
Examples:
  netdrop explain TCP_LISTEN_OVERFLOW
  netdrop explain enqueue_to_backlog nf_hook_slow
  netdrop explain --list --class congestion";

/// `netdrop explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
pub struct Explain {
    /// Drop reasons (no_socket, SKB_DROP_REASON_NO_SOCKET, 0x30005), functions (ip_forward, ip_forward+0x4bc), packet
    /// traps of hardware (tail_drop), reasons of TCP's resets (SK_RST_REASON_TCP_ABORT_ON_CLOSE), checks of doctor
    /// (udp-receive-queue-full) or addresses (0xffffffff81c3f2a1)
    #[arg(value_name = "REASON|FUNCTION|TRAP|CHECK|ADDRESS", required_unless_present = "list")]
    names: Vec<String>,
    /// List all that is known: name, class, one sentence
    #[arg(short, long, conflicts_with = "names")]
    list: bool,
    /// List these classes alone: policy, congestion, no-receiver, malformed, routing, lifecycle, unknown
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',', requires = "list", conflicts_with = "names")]
    class: Vec<Class>,
    /// How it is written
    #[arg(short, long, value_enum, default_value_t = ExplainFormat::Text)]
    format: ExplainFormat,
    /// Colour [NO_COLOR is honoured]
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExplainFormat {
    /// Paragraphs for people
    Text,
    /// One JSON object a line
    Json,
}

impl Explain {
    /// Prints what is known. Needs neither network nor privileges.
    pub fn run(&self) -> anyhow::Result<()> {
        let text = if self.list { self.listed() } else { self.answered()? };
        print(text.as_bytes())
    }

    fn listed(&self) -> String {
        let wanted = |entry: &&'static knowledge::Entry| {
            let is_drop = entry.kind().is_drop();
            self.class.is_empty() || is_drop && self.class.contains(&entry.class())
        };
        let entries: Vec<_> = knowledge::entries().filter(wanted).collect();
        match self.format {
            ExplainFormat::Text => {
                explain::list(&entries, Some(width()).filter(|_| on_terminal()), self.color())
            }
            ExplainFormat::Json => entries.iter().map(|entry| explain::json(entry, None)).collect(),
        }
    }

    /// All answers, or every question that has none.
    fn answered(&self) -> Result<String, Exit> {
        let mut kernel = ThisKernel::default();
        let mut answers = Vec::new();
        let mut errors = Vec::new();
        for name in &self.names {
            match knowledge::ask(name, &mut kernel) {
                Ok(answer) => answers.push(answer),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(self.written(&answers)) } else { Err(refused(&errors)) }
    }

    fn written(&self, answers: &[Answer]) -> String {
        let each = answers.iter().flat_map(|answer| answer.entries.iter().map(move |entry| (answer, entry)));
        match self.format {
            ExplainFormat::Text => {
                let texts: Vec<_> = each
                    .map(|(answer, entry)| explain::text(entry, Some(answer), width(), self.color()))
                    .collect();
                texts.join("\n")
            }
            ExplainFormat::Json => each.map(|(answer, entry)| explain::json(entry, Some(answer))).collect(),
        }
    }

    fn color(&self) -> bool {
        let variable = |name| std::env::var_os(name);
        self.color.enabled(on_terminal(), variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
    }
}

fn refused(errors: &[AskError]) -> Exit {
    let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nnetdrop: ");
    match errors {
        [AskError::Symbols(..)] => Exit::Unable(message),
        _ => Exit::Usage(message),
    }
}

fn on_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The terminal's columns; 80 elsewhere, and no line of prose is longer than people like to read.
fn width() -> usize {
    const USUAL: u16 = 80;
    const WIDEST: u16 = 100;
    let columns =
        if on_terminal() { crossterm::terminal::size().map_or(USUAL, |(columns, _)| columns) } else { USUAL };
    columns.min(WIDEST).into()
}

/// The running kernel; each thing is read when it is first asked for.
#[derive(Debug, Default)]
struct ThisKernel {
    reasons: Option<Reasons>,
    symbols: Option<Symbols>,
}

impl Kernel for ThisKernel {
    fn reason(&mut self, number: u32) -> Option<String> {
        let root = Path::new("/");
        let reasons = self.reasons.get_or_insert_with(|| {
            let features = Features::read(root);
            let bytes = fs::read(root.join("sys/kernel/btf/vmlinux")).unwrap_or_default();
            let format = features.kfree_skb_format();
            Reasons::load(Btf::parse(&bytes).ok().as_ref(), format.as_deref(), &features.release)
        });
        reasons.name_or_search(number, root).map(|name| name.to_string())
    }

    fn function(&mut self, address: u64) -> Result<Option<(String, u64)>, SymbolsError> {
        let symbols = match &mut self.symbols {
            Some(symbols) => symbols,
            unread => unread.insert(Symbols::read(BufReader::new(File::open("/proc/kallsyms")?))?),
        };
        Ok(symbols.resolve(address).map(|found| (found.name.to_owned(), found.offset)))
    }
}
