//! What people read of a finding, part by part, in so many columns.

use unicode_width::UnicodeWidthStr as _;

use super::evidence::told;
use super::paint::{of, painted};
use crate::doctor::{Evidence, Finding, Remedy};
use crate::output::color::{BOLD, FAINT};
use crate::output::columns::cut;
use crate::output::explain::wrap;
use crate::output::words::Plain;

/// Columns of the words before what they tell.
const LABEL: usize = 10;
/// Below this a terminal is not worth wrapping for.
pub(super) const NARROWEST: usize = 40;

/// A page under way: lines, paragraphs and what a finding consists of.
pub(super) struct Page {
    pub text: String,
    pub width: usize,
    pub color: bool,
    /// Whether lines of evidence end where the terminal does.
    pub cuts: bool,
}

impl Page {
    pub fn new(width: usize, color: bool) -> Self {
        Self { text: String::new(), width: width.max(NARROWEST), color, cuts: false }
    }

    pub fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Severity, what about, and the check's name in parentheses; on a line each where one doesn't hold them.
    pub fn head(&mut self, finding: &Finding) {
        let Finding { severity, check, subject, netns, history, .. } = finding;
        let netns = netns.as_ref().map_or(String::new(), |name| format!(" in {name}"));
        let about = Plain(&format!("{subject}{netns}")).to_string();
        let check = format!("({check}{})", if *history { ", since the boot" } else { "" });
        let fits = severity.as_str().len() + 2 + about.width() + 2 + check.width() <= self.width;
        let severity = painted(of(*severity), severity.as_str(), self.color);
        if fits {
            return self.line(&format!("{severity}  {}  {check}", painted(BOLD, &about, self.color)));
        }
        self.line(&format!("{severity}  {check}"));
        for line in wrap(&about, self.width - 2) {
            self.line(&format!("  {}", painted(BOLD, &line, self.color)));
        }
    }

    fn label(&self, word: &str) -> String {
        format!("  {}", painted(FAINT, &format!("{word:<LABEL$}"), self.color))
    }

    pub fn paragraph(&mut self, indent: usize, text: &str) {
        for line in wrap(&Plain(text).to_string(), self.width - indent) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    /// `word`, then a paragraph beside it.
    pub fn labelled(&mut self, word: &str, text: &str) {
        let mut word = word;
        for line in wrap(&Plain(text).to_string(), self.width - LABEL - 2) {
            let label = self.label(word);
            self.line(&format!("{label}{line}"));
            word = "";
        }
    }

    pub fn command(&mut self, word: &str, command: &str) {
        let label = self.label(word);
        self.line(&format!("{label}$ {}", Plain(command)));
    }

    pub fn remedy(&mut self, remedy: &Remedy) {
        self.labelled("remedy", &remedy.what);
        for command in &remedy.now {
            self.command("", command);
        }
        match &remedy.persistently {
            Some(how) if remedy.is_kept_by_command() => self.command("for good", how),
            Some(how) => self.labelled("for good", how),
            None => {}
        }
    }

    /// Names, values and where they were read, aligned; where the terminal is narrow, without the last.
    pub fn evidence(&mut self, evidence: &[Evidence]) {
        let rows: Vec<[String; 3]> = evidence.iter().map(told).collect();
        let widest = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        let (names, values) = (widest(0), widest(1));
        let mut word = "evidence";
        for [name, value, from] in &rows {
            let label = self.label(word);
            let pad = |text: &str, width: usize| format!("{text}{:1$}", "", width - text.width());
            let line = format!("{}  {}  {from}", pad(name, names), pad(value, values));
            let cells = line.trim_end();
            let cells = if self.cuts { cut(cells, self.width - LABEL - 2) } else { cells.to_owned() };
            self.line(&format!("{label}{cells}"));
            word = "";
        }
    }
}
