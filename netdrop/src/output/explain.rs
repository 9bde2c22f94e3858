//! What is known about a reason, a function, a trap or a reset, for people and for programs.

use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::color::{self, BOLD, RESET};
use super::columns::cut;
use crate::knowledge::{Answer, Entry, Kind, Step};

/// Columns by which paragraphs are indented below their heading, and notes below their command.
const INDENT: usize = 2;
/// Below this a terminal is not worth wrapping for.
const NARROWEST: usize = 30;

/// An entry as paragraphs, wrapped at `width`; only commands are never broken, so that they can be copied.
pub fn text(entry: &Entry, answer: Option<&Answer>, width: usize, color: bool) -> String {
    let mut page = Page { text: String::new(), width: width.max(NARROWEST), color };
    if let Some((asked, meant)) = answer.and_then(|answer| Some((&answer.asked, answer.meant.as_ref()?))) {
        page.line(&format!("{asked} is {meant} on this kernel."));
        page.line("");
    }
    page.title(entry);
    page.paragraph(0, entry.meaning());
    if let Some(default) = entry.default() {
        page.heading("Default");
        page.paragraph(INDENT, default);
    }
    if let Some(normal) = entry.normal() {
        page.heading("When it is normal");
        page.paragraph(INDENT, normal);
    }
    page.sentences("Causes", &entry.causes());
    page.steps("Confirm", &entry.confirm());
    page.steps("Remedy", &entry.remedy());
    if let Some(caution) = entry.caution() {
        page.heading("Caution");
        page.paragraph(INDENT, caution);
    }
    page.heading("In the kernel");
    for source in entry.sources() {
        let function = source.function.map_or_else(String::new, |function| format!(": {function}"));
        page.line(&format!("{:INDENT$}{}{function}", "", source.file));
    }
    page.text
}

/// A page under way.
struct Page {
    text: String,
    width: usize,
    color: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// `NO_SOCKET: no-receiver (drop reason)`.
    fn title(&mut self, entry: &Entry) {
        let class = entry.class();
        let kind = match (entry.kind(), entry.subsystem()) {
            (Kind::Function, _) => "function".to_owned(),
            (Kind::Trap, _) => "packet trap of hardware".to_owned(),
            (Kind::Reset, _) => "reset reason".to_owned(),
            (Kind::Check, _) => "check of netdrop doctor".to_owned(),
            (Kind::Setting, _) => "setting of the network".to_owned(),
            (Kind::Reason, "core") => "drop reason".to_owned(),
            (Kind::Reason, subsystem) => format!("drop reason of {subsystem}"),
        };
        let name = self.painted(BOLD, entry.name());
        if !entry.kind().is_drop() {
            return self.line(&format!("{name} ({kind})"));
        }
        let class = self.painted(color::of(class), class.as_str());
        self.line(&format!("{name}: {class} ({kind})"));
    }

    fn heading(&mut self, text: &str) {
        let heading = self.painted(BOLD, text);
        self.line("");
        self.line(&heading);
    }

    fn painted(&self, start: &str, text: &str) -> String {
        if self.color && !start.is_empty() { format!("{start}{text}{RESET}") } else { text.to_owned() }
    }

    fn paragraph(&mut self, indent: usize, text: &str) {
        for line in wrap(text, self.width - indent) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    /// Nothing for an empty list.
    fn sentences(&mut self, heading: &str, sentences: &[&str]) {
        if sentences.is_empty() {
            return;
        }
        self.heading(heading);
        for sentence in sentences {
            self.item("- ", sentence);
        }
    }

    fn steps(&mut self, heading: &str, steps: &[Step]) {
        if steps.is_empty() {
            return;
        }
        self.heading(heading);
        for step in steps {
            match (step.command, step.note) {
                (Some(command), note) => {
                    self.line(&format!("{:INDENT$}$ {command}", ""));
                    self.paragraph(INDENT * 3, note.unwrap_or_default());
                }
                (None, note) => self.item("- ", note.unwrap_or_default()),
            }
        }
    }

    /// A paragraph whose first line begins with `mark` and whose others are indented by as much.
    fn item(&mut self, mark: &str, text: &str) {
        let inner = INDENT + mark.width();
        for (index, line) in wrap(text, self.width - inner).into_iter().enumerate() {
            let mark = if index == 0 { mark } else { "" };
            self.line(&format!("{:INDENT$}{mark:1$}{line}", "", inner - INDENT));
        }
    }
}

/// Lines of whole words, at most `width` columns wide unless one word is wider.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is always one");
        if !last.is_empty() && last.width() + 1 + word.width() > width {
            lines.push(word.to_owned());
        } else {
            last.push_str(if last.is_empty() { "" } else { " " });
            last.push_str(word);
        }
    }
    lines
}

/// A line an entry: name, class, meaning; cut at `width`, if there is one.
pub fn list(entries: &[&Entry], width: Option<usize>, color: bool) -> String {
    let longest =
        |of: fn(&Entry) -> &'static str| entries.iter().map(|entry| of(entry).len()).max().unwrap_or(0);
    let names = longest(Entry::name);
    let classes = longest(class_or_kind);
    let mut text = String::new();
    for entry in entries {
        let line = format!("{:names$}  {:classes$}  {}", entry.name(), class_or_kind(entry), entry.meaning());
        let line = width.map_or_else(|| line.clone(), |width| cut(&line, width));
        let start = color::of(entry.class());
        let painted = if color && !start.is_empty() { format!("{start}{line}{RESET}") } else { line };
        text.push_str(&painted);
        text.push('\n');
    }
    text
}

/// A reset has no class, nor has a check; that it is one must be told, as drop reasons have the same names.
fn class_or_kind(entry: &Entry) -> &'static str {
    match entry.kind() {
        Kind::Reset => "(reset)",
        Kind::Check => "(check)",
        Kind::Setting => "(setting)",
        _ => entry.class().as_str(),
    }
}

/// An entry as one line of JSON; absent means that there is none.
#[derive(Debug, Serialize)]
struct Explanation<'a> {
    v: u32,
    kind: &'static str,
    of: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    subsystem: &'a str,
    meaning: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    normal: Option<&'a str>,
    causes: Vec<&'a str>,
    confirm: Vec<Todo<'a>>,
    remedy: Vec<Todo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caution: Option<&'a str>,
    source: Vec<Place<'a>>,
}

#[derive(Debug, Serialize)]
struct Todo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
}

/// An entry as one line of JSON.
///
/// # Panics
/// Never: it is strings alone.
pub fn json(entry: &Entry, answer: Option<&Answer>) -> String {
    let steps = |steps: Vec<Step>| {
        steps.into_iter().map(|Step { command, note }| Todo { command, note }).collect::<Vec<_>>()
    };
    let explanation = Explanation {
        v: 1,
        kind: "explanation",
        of: entry.kind().as_str(),
        name: entry.name(),
        asked: answer.map(|answer| answer.asked.as_str()),
        meant: answer.and_then(|answer| answer.meant.as_deref()),
        class: entry.kind().is_drop().then(|| entry.class().as_str()),
        subsystem: entry.subsystem(),
        meaning: entry.meaning(),
        normal: entry.normal(),
        causes: entry.causes(),
        confirm: steps(entry.confirm()),
        remedy: steps(entry.remedy()),
        caution: entry.caution(),
        source: entry
            .sources()
            .iter()
            .map(|source| Place { file: source.file, function: source.function })
            .collect(),
    };
    let mut line = serde_json::to_string(&explanation).expect("it is strings alone");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::knowledge::{entries, reason, site};

    #[test]
    fn loss_in_80_columns() {
        assert_snapshot!("loss", text(reason("TCP_LISTEN_OVERFLOW").unwrap(), None, 80, false));
    }

    #[test]
    fn noise_in_60_columns() {
        assert_snapshot!("noise", text(reason("TCP_OLD_DATA").unwrap(), None, 60, false));
    }

    #[test]
    fn a_number_is_told_with_its_name() {
        let asked = "0xffffffff81c3f2a1";
        let entries = vec![site("enqueue_to_backlog").unwrap()];
        let answer = Answer { asked: asked.into(), meant: Some("enqueue_to_backlog+0x1f".into()), entries };
        let text = text(answer.entries[0], Some(&answer), 80, false);
        assert!(
            text.starts_with("0xffffffff81c3f2a1 is enqueue_to_backlog+0x1f on this kernel.\n\n"),
            "{text}"
        );
    }

    #[test]
    fn names_headings_and_classes_are_painted() {
        let painted = text(reason("XDP").unwrap(), None, 80, true);
        assert!(
            painted.starts_with("\x1b[1mXDP\x1b[0m: \x1b[33mpolicy\x1b[0m (drop reason)\n"),
            "{painted:?}"
        );
        assert!(painted.contains("\n\x1b[1mRemedy\x1b[0m\n"));
    }

    #[test]
    fn json_has_all_of_it() {
        let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        assert_snapshot!(
            "json",
            serde_json::to_string_pretty(&value(&json(site("ip_error").unwrap(), None))).unwrap()
        );
        let noise = value(&json(reason("QUEUE_PURGE").unwrap(), None));
        assert!(noise["normal"].is_string() && noise.get("caution").is_none(), "{noise}");
    }

    #[test]
    fn a_list_has_a_line_an_entry() {
        let entries = [reason("NO_SOCKET").unwrap(), site("ip_error").unwrap()];
        assert_snapshot!(list(&entries, Some(60), false), @r"
        NO_SOCKET  no-receiver  No socket waits at the packet's des…
        ip_error   routing      The packet is not for this host, an…
        ");
        assert!(list(&entries, None, false).lines().all(|line| line.ends_with('.')));
    }

    #[test]
    fn every_entry_fits_80_columns() {
        for entry in entries() {
            for line in text(entry, None, 80, false).lines() {
                assert!(line.width() <= 80 && line.trim_end() == line, "{}: {line}", entry.name());
            }
        }
    }

    proptest! {
        #[test]
        fn wrapping_keeps_every_word(words in prop::collection::vec("[a-z]{1,12}", 1..40), width in 1_usize..50) {
            let text = words.join(" ");
            let lines = wrap(&text, width);
            prop_assert_eq!(lines.join(" "), text);
            prop_assert!(lines.iter().all(|line| line.width() <= width || !line.contains(' ')));
        }
    }
}
