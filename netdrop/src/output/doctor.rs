//! What the doctor found, for people and for programs.

use std::time::Duration;

use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::color::{BOLD, FAINT, RESET};
use super::columns::cut;
use super::explain::wrap;
use super::words::Plain;
use crate::doctor::{
    Certainty, Check, Diagnosis, Drops, Evidence, Finding, Moved, Remedy, Severity, Unchecked,
};
use crate::model::Explanation;
use crate::units::{elapsed, grouped, rate_of, thousands};

/// Columns of the words before what they tell.
const LABEL: usize = 10;
/// Below this a terminal is not worth wrapping for.
const NARROWEST: usize = 40;

/// All of an examination but its findings.
#[derive(Debug, Clone, Copy)]
pub struct Closing<'a> {
    /// What was diagnosed.
    pub diagnosis: &'a Diagnosis,
    /// The time that was looked at.
    pub lasted: Duration,
    /// It is all since the boot.
    pub since_boot: bool,
    /// Drops in that time; or why they weren't counted.
    pub drops: Result<u64, &'a str>,
}

/// How many findings there are of each severity, the worst first.
fn of_each(findings: &[Finding]) -> impl Iterator<Item = (Severity, usize)> {
    Severity::ALL
        .into_iter()
        .rev()
        .map(|severity| (severity, findings.iter().filter(|finding| finding.severity == severity).count()))
}

fn paint(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "\x1b[1;31m",
        Severity::Warning => "\x1b[33m",
        Severity::Info => "\x1b[36m",
    }
}

fn painted(start: &str, text: &str, color: bool) -> String {
    if color { format!("{start}{text}{RESET}") } else { text.to_owned() }
}

/// A finding as paragraphs of at most `width` columns; only commands are never broken, so that they can be copied.
pub fn finding(finding: &Finding, width: usize, color: bool) -> String {
    written(finding, Page { cuts: true, ..Page::new(width, color) })
}

/// The same where no terminal's edge cuts lines of evidence: in a file, in a pipe.
pub fn finding_uncut(finding: &Finding, width: usize, color: bool) -> String {
    written(finding, Page::new(width, color))
}

fn written(finding: &Finding, mut page: Page) -> String {
    page.head(finding);
    page.paragraph(2, &grouped(&finding.sentence));
    page.evidence(&finding.evidence);
    let sure = match finding.certainty {
        Certainty::Possible => "possibly",
        Certainty::Likely => "likely",
        Certainty::Certain => "certainly",
    };
    page.labelled("cause", &format!("({sure}) {}", finding.cause));
    for remedy in &finding.remedies {
        page.remedy(remedy);
    }
    if let Some(caution) = &finding.caution {
        page.labelled("caution", caution);
    }
    page.command("verify", &finding.verify);
    page.text
}

/// A page under way.
struct Page {
    text: String,
    width: usize,
    color: bool,
    /// Whether lines of evidence end where the terminal does.
    cuts: bool,
}

impl Page {
    fn new(width: usize, color: bool) -> Self {
        Self { text: String::new(), width: width.max(NARROWEST), color, cuts: false }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Severity, what about, and the check's name in parentheses; on a line each where one doesn't hold them.
    fn head(&mut self, finding: &Finding) {
        let Finding { severity, check, subject, netns, history, .. } = finding;
        let netns = netns.as_ref().map_or(String::new(), |name| format!(" in {name}"));
        let about = Plain(&format!("{subject}{netns}")).to_string();
        let check = format!("({check}{})", if *history { ", since the boot" } else { "" });
        let fits = severity.as_str().len() + 2 + about.width() + 2 + check.width() <= self.width;
        let severity = painted(paint(*severity), severity.as_str(), self.color);
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

    fn paragraph(&mut self, indent: usize, text: &str) {
        for line in wrap(&Plain(text).to_string(), self.width - indent) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    /// `word`, then a paragraph beside it.
    fn labelled(&mut self, word: &str, text: &str) {
        let mut word = word;
        for line in wrap(&Plain(text).to_string(), self.width - LABEL - 2) {
            let label = self.label(word);
            self.line(&format!("{label}{line}"));
            word = "";
        }
    }

    fn command(&mut self, word: &str, command: &str) {
        let label = self.label(word);
        self.line(&format!("{label}$ {}", Plain(command)));
    }

    fn remedy(&mut self, remedy: &Remedy) {
        self.labelled("remedy", &remedy.what);
        for command in &remedy.now {
            self.command("", command);
        }
        match &remedy.persistently {
            // A command of a shell, else words.
            Some(how) if how.starts_with("printf ") || how.starts_with("systemctl ") => {
                self.command("for good", how);
            }
            Some(how) => self.labelled("for good", how),
            None => {}
        }
    }

    /// Names, values and where they were read, aligned; where the terminal is narrow, without the last.
    fn evidence(&mut self, evidence: &[Evidence]) {
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

/// What it is, how it stood, where it was read.
fn told(evidence: &Evidence) -> [String; 3] {
    let plain = |text: &str| Plain(text).to_string();
    match evidence {
        Evidence::Counter(moved) => {
            let Moved { counter, before, after, rate, read_from, .. } = moved;
            // A few in a long time are few, and not none.
            let rate = match rate_of(*rate) {
                none if none == "0/s" && moved.by() > 0 => "<0.01/s".into(),
                rate => rate,
            };
            let course = format!("{} → {}  ({rate})", thousands(*before), thousands(*after));
            [plain(counter), course, read_from.clone()]
        }
        Evidence::Value { name, value, read_from } => [plain(name), plain(value), read_from.clone()],
        Evidence::Drops(Drops { function, offset, reason, drops, rate }) => {
            let offset = offset.map_or(String::new(), |offset| format!("+{offset:#x}"));
            let place = function.as_ref().map_or("drops".into(), |function| format!("{function}{offset}"));
            let reason = reason.as_deref().unwrap_or("drops");
            [plain(&place), format!("{} {reason}  ({})", thousands(*drops), rate_of(*rate)), "netdrop".into()]
        }
    }
}

/// A line a finding: severity, what about, what is wrong, the check; cut at `width`, if there is one.
pub fn table(findings: &[Finding], width: Option<usize>, color: bool) -> String {
    let widest = |of: fn(&Finding) -> &str| findings.iter().map(|one| of(one).width()).max().unwrap_or(0);
    let subjects = widest(|one| &one.subject);
    let line = |finding: &Finding| {
        let Finding { severity, check, subject, sentence, netns, .. } = finding;
        let netns = netns.as_ref().map_or(String::new(), |name| format!("{name}: "));
        let sentence = grouped(sentence);
        let line = format!("{severity:8}  {subject:subjects$}  {netns}{sentence}  ({check})");
        let line = Plain(&line).to_string();
        let line = width.map_or_else(|| line.clone(), |width| cut(&line, width));
        painted(paint(*severity), &line, color) + "\n"
    };
    findings.iter().map(line).collect()
}

/// What couldn't be checked, and the sum of all.
pub fn closing(closing: &Closing, width: usize) -> String {
    let mut page = Page::new(width, false);
    let Diagnosis { findings, unchecked, checked } = closing.diagnosis;
    let time = elapsed(closing.lasted);
    let time = if closing.since_boot { format!("since the boot {time} ago") } else { format!("in {time}") };
    let counts: Vec<_> = of_each(findings)
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| {
            let many = if severity == Severity::Warning && count != 1 { "s" } else { "" };
            format!("{count} {severity}{many}")
        })
        .collect();
    let found = if counts.is_empty() { "all fine".to_owned() } else { counts.join(", ") };
    let drops = match closing.drops {
        Ok(drops) => format!("{} drops counted", thousands(drops)),
        Err(why) => format!("drops not counted: {why}"),
    };
    page.paragraph(0, &format!("Checked {} {time}: {found}; {drops}.", things(*checked)));
    if !unchecked.is_empty() {
        page.line(&format!("{} could not be checked:", things(unchecked.len())));
    }
    for line in unchecked_for_one_reason(unchecked) {
        page.paragraph(2, &line);
    }
    page.text
}

/// What failed for the same reason in the same namespace is one line; of many checks their number will do.
fn unchecked_for_one_reason(unchecked: &[Unchecked]) -> Vec<String> {
    const NAMED: usize = 4;
    let mut reasons: Vec<(&Unchecked, Vec<&str>)> = Vec::new();
    for one in unchecked {
        match reasons.iter_mut().find(|(first, _)| (&first.netns, &first.why) == (&one.netns, &one.why)) {
            Some((_, checks)) => checks.push(one.check),
            None => reasons.push((one, vec![one.check])),
        }
    }
    let line = |(Unchecked { netns, why, .. }, checks): (&Unchecked, Vec<&str>)| {
        let netns = netns.as_ref().map_or(String::new(), |name| format!(" in {name}"));
        let checks =
            if checks.len() > NAMED { format!("{} checks", checks.len()) } else { checks.join(", ") };
        format!("{checks}{netns}: {why}")
    };
    reasons.into_iter().map(line).collect()
}

fn things(count: usize) -> String {
    format!("{count} thing{}", if count == 1 { "" } else { "s" })
}

/// The checks there are: name and what it looks for, in lines of `width`, if there is one; where that is narrow, below the name.
pub fn list(checks: &[&Check], width: Option<usize>) -> String {
    let names = checks.iter().map(|check| check.name.len()).max().unwrap_or(0) + 2;
    let mut page = Page::new(width.unwrap_or(usize::MAX), false);
    let is_narrow = page.width < names + NARROWEST;
    let indent = if is_narrow { 4 } else { names };
    for check in checks {
        let mut name = check.name;
        if is_narrow {
            page.line(std::mem::take(&mut name));
        }
        for line in wrap(check.about(), page.width - indent) {
            page.line(&format!("{:indent$}{line}", std::mem::take(&mut name)));
        }
    }
    page.text
}

#[derive(Serialize)]
struct Line<'a, T> {
    v: u32,
    kind: &'static str,
    #[serde(flatten)]
    of: &'a T,
}

#[derive(Serialize)]
struct Summary<'a> {
    checked: usize,
    unchecked: usize,
    critical: usize,
    warning: usize,
    info: usize,
    since_boot: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    drops: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    without_drops: Option<&'a str>,
}

/// What explains drops of a run, below its counts: a sentence each, after an empty line.
pub fn explanations(explanations: &[Explanation]) -> Vec<String> {
    let told = explanations.iter().map(|one| Plain(&one.to_string()).to_string());
    let before = (!explanations.is_empty()).then(String::new);
    before.into_iter().chain(told).collect()
}

/// A finding's line of JSON.
pub fn finding_line(finding: &Finding) -> String {
    line("doctor.finding", finding)
}

/// A line of JSON each: findings, what couldn't be checked, then the summary.
pub fn json(closing: &Closing) -> String {
    let Diagnosis { findings, unchecked, checked } = closing.diagnosis;
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let summary = Summary {
        checked: *checked,
        unchecked: unchecked.len(),
        critical: of(Severity::Critical),
        warning: of(Severity::Warning),
        info: of(Severity::Info),
        since_boot: closing.since_boot,
        seconds: (closing.lasted.as_secs_f64() * 1000.0).round() / 1000.0,
        drops: closing.drops.ok(),
        without_drops: closing.drops.err(),
    };
    let findings = findings.iter().map(finding_line);
    let unchecked = unchecked.iter().map(|one| line("doctor.unchecked", one));
    findings.chain(unchecked).chain([line("doctor.summary", &summary)]).collect()
}

fn line<T: Serialize>(kind: &'static str, of: &T) -> String {
    serde_json::to_string(&Line { v: 1, kind, of }).expect("it is strings and numbers alone") + "\n"
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::{Area, all};

    fn found() -> Diagnosis {
        let lasted = Duration::from_secs(5);
        let finding = Finding {
            check: "udp-receive-queue-full",
            area: Area::Udp,
            netns: Some("web".into()),
            verify: "netdrop doctor --only udp-receive-queue-full --netns web".into(),
            ..Finding::new(
                Severity::Critical,
                "socket 0.0.0.0:53 of dns\u{1b}[2J(7)",
                "500 datagrams were dropped.",
            )
            .losing(100.0)
            .because(Certainty::Likely, "The process reads more slowly than datagrams come to it.")
            .shown_by([Moved::new("UdpRcvbufErrors", (3, 4503), lasted, "/proc/net/snmp")])
            .shown_by([Evidence::value("receive queue", "7 of 9 bytes", "sock_diag")])
            .shown_by([Evidence::Drops(Drops {
                function: Some("udp_queue_rcv_one_skb".into()),
                offset: Some(0x1a),
                reason: Some("SOCKET_RCVBUFF".into()),
                drops: 500,
                rate: 100.0,
            })])
            .remedy(Remedy::host_sysctl("Let it have more.", &[("net.core.rmem_max", &4096)]))
            .remedy(Remedy::advice("Have it read faster."))
            .caution("More is older.")
            .explains(&["SOCKET_RCVBUFF"])
        };
        let unchecked = Unchecked {
            check: "conntrack-table-full",
            area: Area::Conntrack,
            netns: None,
            why: "/proc/net/stat/nf_conntrack: this kernel or this namespace doesn't have it".into(),
        };
        Diagnosis { findings: vec![finding], unchecked: vec![unchecked], checked: 8 }
    }

    fn closing_of(diagnosis: &Diagnosis) -> Closing<'_> {
        Closing { diagnosis, lasted: Duration::from_secs(5), since_boot: false, drops: Ok(1234) }
    }

    #[rstest::rstest]
    #[case(100)]
    #[case(50)]
    fn for_people(#[case] width: usize) {
        let diagnosis = found();
        let text =
            finding(&diagnosis.findings[0], width, false) + "\n" + &closing(&closing_of(&diagnosis), width);
        let too_long = text.lines().find(|line| line.width() > width && !line.contains("$ "));
        assert_eq!(too_long, None);
        assert_snapshot!(format!("text_{width}"), text);
    }

    #[test]
    fn a_list_fits_the_terminal() {
        let checks: Vec<_> = all().collect();
        for (width, lines_each) in [(None, 1..=1), (Some(100), 1..=4), (Some(40), 2..=9)] {
            let list = list(&checks, width);
            assert!(width.is_none_or(|width| list.lines().all(|line| line.width() <= width)), "{list}");
            assert!(lines_each.contains(&(list.lines().count() / checks.len())), "{list}");
        }
    }

    #[test]
    fn what_fails_for_one_reason_is_one_line() {
        let one = |check, netns: Option<&str>, why: &str| Unchecked {
            check,
            area: Area::Udp,
            netns: netns.map(Into::into),
            why: why.into(),
        };
        let away = ["a", "b", "c", "d", "e"].map(|check| one(check, Some("web"), "gone"));
        let others = [one("a", None, "no file"), one("b", None, "no file"), one("c", None, "no right")];
        let told = unchecked_for_one_reason(&[&away[..], &others].concat());
        assert_eq!(told, ["5 checks in web: gone", "a, b: no file", "c: no right"]);
    }

    #[test]
    fn colour_is_all_that_colour_adds() {
        let finding_of = |color| finding(&found().findings[0], 100, color);
        let painted = finding_of(true);
        assert!(painted.starts_with("\x1b[1;31mcritical\x1b[0m  \x1b[1msocket"), "{painted:?}");
        let mut bare = painted;
        for code in ["\x1b[1;31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"] {
            bare = bare.replace(code, "");
        }
        let same = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(same(bare), same(finding_of(false)));
    }

    #[test]
    fn a_line_each() {
        assert_snapshot!("table", table(&found().findings, Some(70), false));
        let fine = Diagnosis { checked: 1, ..Diagnosis::default() };
        assert_snapshot!("closing_fine", closing(&closing_of(&fine), 100));
        let history = Closing { since_boot: true, drops: Err("nobody counted them"), ..closing_of(&fine) };
        assert_snapshot!("closing_history", closing(&history, 100));
    }

    #[test]
    fn every_check_is_listed_with_what_it_looks_for() {
        let checks: Vec<_> = all().collect();
        let listed = list(&checks, None);
        assert_eq!(listed.lines().count(), checks.len());
        assert!(listed.lines().all(|line| line.ends_with('.')), "{listed}");
        assert!(list(&checks, Some(40)).lines().all(|line| line.width() <= 40));
    }

    #[test]
    fn every_line_is_within_the_schema() {
        let schema: serde_json::Value = serde_json::from_str(crate::output::json::schema()).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let diagnosis = found();
        let with = json(&closing_of(&diagnosis));
        let without = json(&Closing { drops: Err("no privileges"), ..closing_of(&diagnosis) });
        assert_snapshot!("json", with);
        for line in with.lines().chain(without.lines()) {
            let value = serde_json::from_str(line).unwrap();
            let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{line}: {errors:?}");
        }
    }
}
