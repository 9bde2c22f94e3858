//! A comparison of two recordings: for people, as JSON, as CSV.

use std::fmt::Write as _;

use super::append;
use super::color::{self, BETTER, FAINT, RESET, WORSE};
use super::columns::{Column, about, identity, lines as table};
use super::csv::{self, record};
use super::json::{push_accounts, push_names};
use super::report::{bar, share};
use super::words::missing;
use crate::compare::{Change, Comparison, Measure, RankTest, SIGNIFICANT, Side, Trend, Verdict, least_p};
use crate::knowledge::Class;
use crate::model::{Host, Row};
use crate::order::InOrder as _;
use crate::units::{elapsed, rate_of, thousands};

/// How to get recordings that can be told apart.
const REPEAT: &str = "netdrop run --repeat 5 --recording FILE -- COMMAND";

/// What is compared: a name and where it was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// The file's name.
    pub name: &'a str,
    /// The machines.
    pub hosts: &'a [Host],
}

/// The lines for people, those of the table at most `width` wide; with `folds`, lifecycle drops are one line.
pub fn comparison_lines(
    comparison: &Comparison,
    of: [Recorded<'_>; 2],
    width: usize,
    color: bool,
    folds: bool,
) -> Vec<String> {
    let Comparison { before, after, rows, verdict } = comparison;
    let mut lines = vec![
        format!("Before: {}", side(before, of[0])),
        format!("After:  {}", side(after, of[1])),
        String::new(),
    ];
    let (noise, shown): (Vec<&Change>, Vec<&Change>) =
        rows.iter().partition(|change| folds && change.row.class == Some(Class::Lifecycle));
    if !shown.is_empty() {
        lines.extend(changes(&shown, comparison, width, color));
    }
    lines.extend(folded(&noise));
    if !rows.is_empty() {
        lines.push(String::new());
    }
    let text = sentence(verdict, before, after);
    lines.push(if color { format!("{}{text}{RESET}", painted(verdict)) } else { text });
    lines.extend(remarks(comparison, of));
    lines
}

/// `5 runs in 50 s, 12,345 drops, 40 of them lifecycle; 240/s lost. web-1, Linux 6.12.9 (before.jsonl)`
fn side(side: &Side, of: Recorded<'_>) -> String {
    let runs = side.rates.len();
    let mut text = format!(
        "{runs} {} in {}, {} drops",
        if runs == 1 { "run" } else { "runs" },
        elapsed(side.elapsed),
        thousands(side.drops)
    );
    let lifecycle = side.drops.saturating_sub(side.loss);
    if lifecycle > 0 {
        let _ = write!(text, ", {} of them lifecycle", thousands(lifecycle));
    }
    let _ = write!(text, "; {} lost", rate_of(side.per_second()));
    let hosts: Vec<String> = of.hosts.iter().map(host).collect();
    let hosts = if hosts.is_empty() { String::new() } else { format!("{}, ", hosts.join(", ")) };
    text + &format!(" ({hosts}{})", super::words::Plain(of.name))
}

fn host(host: &Host) -> String {
    super::words::Plain(format!("{} {}", host.name, host.kernel).trim()).to_string()
}

fn changes(shown: &[&Change], comparison: &Comparison, width: usize, color: bool) -> Vec<String> {
    let rows: Vec<Row> = shown.iter().map(|change| change.row.clone()).collect();
    let largest = shown.iter().map(|change| change.difference().abs()).fold(0.0, f64::max);
    let rate = |measure: Measure, row: &Row| match measure.drops {
        0 => "—".into(),
        _ => about(row) + &rate_of(measure.per_second),
    };
    let part = |measure: Measure, side: &Side| match measure.drops {
        0 => "—".into(),
        drops => share(drops, side.drops),
    };
    let mut columns = vec![
        Column::number("CHANGE", shown, |change| signed(change.difference())),
        Column::bar(shown, |change| length(change.difference().abs(), largest)).optional(),
        Column::number("", shown, |change| factor(change)),
        Column::number("BEFORE", shown, |change| rate(change.before, &change.row)),
        Column::number("AFTER", shown, |change| rate(change.after, &change.row)),
        Column::number("DROPS", shown, |change| {
            format!("{} → {}", thousands(change.before.drops), thousands(change.after.drops))
        })
        .optional(),
        Column::number("SHARE", shown, |change| {
            format!("{} → {}", part(change.before, &comparison.before), part(change.after, &comparison.after))
        })
        .optional(),
        Column::number("P", shown, |change| change.p.map(probability).unwrap_or_default()),
    ];
    // Of bytes, a row knows those of one side alone.
    columns.extend(identity(&rows, |row| row.counts).into_iter().filter(|column| column.title() != "BYTES"));
    let lines = table(&rows, columns, width, false).into_iter().enumerate();
    let paint = |(number, line): (usize, String)| match number.checked_sub(1).and_then(|row| shown.get(row)) {
        _ if !color => line,
        None => format!("{}{line}{RESET}", color::BOLD),
        Some(change) => match change.trend() {
            _ if change.row.class == Some(Class::Lifecycle) => format!("{FAINT}{line}{RESET}"),
            Trend::New | Trend::More => format!("{WORSE}{line}{RESET}"),
            Trend::Gone | Trend::Less => format!("{BETTER}{line}{RESET}"),
            Trend::Same => format!("{FAINT}{line}{RESET}"),
        },
    };
    lines.map(paint).collect()
}

/// `+12/s`, `−3.5 k/s`, `0/s`
fn signed(difference: f64) -> String {
    let sign = match difference {
        d if d > 0.0 => "+",
        d if d < 0.0 => "−",
        _ => "",
    };
    sign.to_owned() + &rate_of(difference.abs())
}

/// A bar as long as the change is beside the largest.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of 1000")]
fn length(part: f64, largest: f64) -> String {
    if largest <= 0.0 { String::new() } else { bar((part / largest * 1000.0).ceil() as u64, 1000) }
}

/// `new`, `gone`, `×2.5`, `÷3`
fn factor(change: &Change) -> String {
    let (before, after) = (change.before.per_second, change.after.per_second);
    let times = |sign: &str, factor: f64| match factor {
        f if f >= 100.0 => format!("{sign}{f:.0}"),
        f if f >= 10.0 => format!("{sign}{f:.1}"),
        f => format!("{sign}{f:.2}"),
    };
    match change.trend() {
        Trend::New => "new".into(),
        Trend::Gone => "gone".into(),
        Trend::Same => "=".into(),
        Trend::More if before > 0.0 => times("×", after / before),
        Trend::Less if after > 0.0 => times("÷", before / after),
        Trend::More | Trend::Less => String::new(),
    }
}

fn folded(noise: &[&Change]) -> Option<String> {
    let sum = |of: fn(&Change) -> Measure| noise.iter().map(|change| of(change).drops).sum::<u64>();
    let (before, after) = (sum(|change| change.before), sum(|change| change.after));
    (!noise.is_empty()).then(|| {
        let drops = format!("{} → {} drops", thousands(before), thousands(after));
        format!("lifecycle: {drops} in {} rows, no loss; --all-classes shows them", noise.len())
    })
}

fn painted(verdict: &Verdict) -> &'static str {
    match verdict.as_str() {
        "more" => WORSE,
        "less" => BETTER,
        _ => color::BOLD,
    }
}

/// What the verdict says, in words; what to do where it says nothing.
pub fn sentence(verdict: &Verdict, before: &Side, after: &Side) -> String {
    let (n, m) = (before.rates.len(), after.rates.len());
    let medians = || {
        format!("median {} before, {} after", rate_of(median(&before.rates)), rate_of(median(&after.rates)))
    };
    let tested = |test: &RankTest| {
        format!(
            "in {:.0} % of all pairs of runs more was lost after; Mann–Whitney U = {} of {}, two-sided p = {} ({}, {n} and {m} runs)",
            test.superiority() * 100.0,
            test.u,
            test.pairs,
            probability(test.p),
            if test.exact { "exact" } else { "by the normal approximation" },
        )
    };
    match verdict {
        Verdict::Nothing => "Nothing was lost, before or after.".into(),
        Verdict::Missing => "One of the recordings is empty: there is nothing to compare.".into(),
        Verdict::OneEach => format!(
            "One run each can't tell a change from noise: drops come in bursts, and nothing says how far two runs of the same lie \
             apart. Record several of each: {REPEAT}"
        ),
        Verdict::TooFew { least, .. } => format!(
            "{n} and {m} runs can't tell a change from noise: {}, but whatever they lost, p could not be below {}. Record 4 and \
             more of each: {REPEAT}",
            medians(),
            probability(*least)
        ),
        Verdict::Changed(test) => {
            let way = if test.superiority() > 0.5 { "More" } else { "Less" };
            format!("{way} is lost than before: {}; {}.", medians(), tested(test))
        }
        Verdict::NotShown(test) => format!(
            "No change of the loss is shown, which doesn't mean that there is none: {}; {}.",
            medians(),
            tested(test)
        ),
    }
}

/// What to know beside the verdict.
pub fn remarks(comparison: &Comparison, of: [Recorded<'_>; 2]) -> Vec<String> {
    let Comparison { before, after, rows, .. } = comparison;
    let mut remarks = Vec::new();
    let tested = rows.iter().filter(|row| row.p.is_some()).count();
    if tested > 1 {
        let least = least_p(before.rates.len(), after.rates.len())
            * f64::from(u32::try_from(tested).unwrap_or(u32::MAX));
        let mut text = format!(
            "P of a row is corrected for testing {tested} rows at once (Holm): below {SIGNIFICANT} it has changed."
        );
        if least > SIGNIFICANT {
            text += " With so few runs no row's can be: more runs, or fewer rows (--by), would tell.";
        }
        remarks.push(text);
    }
    let kernels = of.map(|of| of.hosts.iter().map(|host| host.kernel.as_str()).collect::<Vec<_>>());
    if kernels[0] != kernels[1] && kernels.iter().all(|kernels| !kernels.is_empty()) {
        remarks.push("The kernels differ: functions and reasons may have other names there.".into());
    }
    for (when, side) in [("Before", before), ("After", after)] {
        remarks.extend(missing(&side.accounts).into_iter().map(|text| format!("{when}: {text}")));
    }
    remarks
}

/// Of an even number the mean of the two in the middle; 0 of none.
fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.order_by(f64::total_cmp);
    let middle = |at: usize| sorted.get(at).copied().unwrap_or(0.0);
    f64::midpoint(middle(sorted.len().saturating_sub(1) / 2), middle(sorted.len() / 2))
}

/// Two digits, as many zeros in front as there are down to 0.0001.
fn probability(p: f64) -> String {
    match p {
        p if p < 0.000_1 => "<0.0001".into(),
        p if p < 0.001 => format!("{p:.4}"),
        p if p < 0.1 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// One object (`kind` is `comparison`), as the schema has it.
pub fn comparison_json(comparison: &Comparison, of: [Recorded<'_>; 2], out: &mut Vec<u8>) {
    let Comparison { before, after, rows, verdict } = comparison;
    out.extend_from_slice(br#"{"v":1,"kind":"comparison""#);
    for (key, side, of) in [("before", before, of[0]), ("after", after, of[1])] {
        append(out, format_args!(r#","{key}":{{"name":"#));
        push(out, of.name);
        append(
            out,
            format_args!(
                r#","elapsed_ms":{},"count":{},"loss":{},"loss_per_second":"#,
                side.elapsed.as_millis(),
                side.drops,
                side.loss
            ),
        );
        push(out, &side.rates);
        out.extend_from_slice(br#","hosts":"#);
        push(out, of.hosts);
        out.extend_from_slice(br#","accounts":"#);
        push_accounts(out, &side.accounts);
        out.push(b'}');
    }
    out.extend_from_slice(br#","rows":["#);
    for (index, change) in rows.iter().enumerate() {
        append(
            out,
            format_args!(r#"{}{{"change":"{}""#, if index > 0 { "," } else { "" }, change.trend().as_str()),
        );
        if let Some(p) = change.p {
            out.extend_from_slice(br#","p":"#);
            push(out, &p);
        }
        push_names(out, &change.row);
        for (key, measure) in [("before", change.before), ("after", change.after)] {
            append(out, format_args!(r#","{key}":{{"count":{},"per_second":"#, measure.drops));
            push(out, &measure.per_second);
            out.extend_from_slice(br#","share":"#);
            push(out, &measure.share);
            out.push(b'}');
        }
        out.push(b'}');
    }
    append(out, format_args!(r#"],"verdict":{{"change":"{}""#, verdict.as_str()));
    if let Some(test) = verdict.test() {
        append(
            out,
            format_args!(r#","test":"mann-whitney-u","exact":{},"u":{},"superiority":"#, test.exact, test.u),
        );
        push(out, &test.superiority());
        out.extend_from_slice(br#","p":"#);
        push(out, &test.p);
    }
    out.extend_from_slice(br#","text":"#);
    push(out, &sentence(verdict, before, after));
    out.extend_from_slice(b"},\"notes\":");
    push(out, &remarks(comparison, of));
    out.extend_from_slice(b"}\n");
}

fn push(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("plain data into a Vec");
}

/// One row a line (RFC 4180), with a header that never changes.
pub fn comparison_csv(comparison: &Comparison, out: &mut Vec<u8>) {
    const NUMBERS: [&str; 9] = [
        "change",
        "difference_per_second",
        "before_count",
        "after_count",
        "before_per_second",
        "after_per_second",
        "before_share",
        "after_share",
        "p",
    ];
    record(NUMBERS.into_iter().chain(["estimated", "other"]).chain(csv::NAMES), out);
    for change in &comparison.rows {
        let Change { row, before, after, p } = change;
        let numbers = [
            change.trend().as_str().to_owned(),
            change.difference().to_string(),
            before.drops.to_string(),
            after.drops.to_string(),
            before.per_second.to_string(),
            after.per_second.to_string(),
            before.share.to_string(),
            after.share.to_string(),
            p.map(|p| p.to_string()).unwrap_or_default(),
        ];
        let marks = [row.estimated.to_string(), row.other.to_string()];
        record(numbers.into_iter().chain(marks).chain(csv::names(row)), out);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;
    use rstest::rstest;

    use super::super::samples::{self, written};
    use super::*;
    use crate::compare::compare;
    use crate::model::Summary;

    fn hosts() -> [Vec<Host>; 2] {
        ["6.12.9", "6.18.1"].map(|kernel| vec![Host { name: "web-1".into(), kernel: kernel.into() }])
    }

    /// Runs of ten seconds; the flood is `times` as large in each.
    fn runs(times: &[u64], keep: std::ops::Range<usize>) -> Vec<Summary> {
        let run = |times: &u64| {
            let mut end = samples::end();
            end.rows = end.rows[keep.clone()].to_vec();
            end.rows.iter_mut().for_each(|row| row.counts.packets *= times);
            Summary { elapsed: Duration::from_secs(10), ..end }
        };
        times.iter().map(run).collect()
    }

    fn text(before: &[Summary], after: &[Summary], width: usize) -> String {
        let hosts = hosts();
        let of =
            [Recorded { name: "a.jsonl", hosts: &hosts[0] }, Recorded { name: "b.jsonl", hosts: &hosts[1] }];
        comparison_lines(&compare(before, after), of, width, false, true).join("\n")
    }

    #[test]
    fn one_run_each() {
        let (before, after) = (runs(&[1], 0..2), runs(&[2], 1..3));
        assert_snapshot!("comparison", text(&before, &after, 200));
        assert_snapshot!("comparison_80", text(&before, &after, 80));
    }

    #[test]
    fn several_runs_are_tested() {
        let (few, many) = (runs(&[1, 2, 3], 0..2), runs(&[3, 4, 5, 6, 7], 0..2));
        let told =
            [text(&few, &few, 160), text(&few, &many, 160), text(&many, &runs(&[1, 2, 3, 4, 5], 0..3), 160)];
        assert_snapshot!("comparison_of_runs", told.join("\n\n"));
    }

    #[test]
    fn lifecycle_is_folded_and_no_loss() {
        let end = Summary { elapsed: Duration::from_secs(10), ..samples::with_noise() };
        assert_snapshot!(
            "comparison_with_noise",
            text(std::slice::from_ref(&end), &[end.clone(), end.clone()], 120)
        );
    }

    #[test]
    fn for_machines() {
        let hosts = hosts();
        let of =
            [Recorded { name: "a.jsonl", hosts: &hosts[0] }, Recorded { name: "b.jsonl", hosts: &hosts[1] }];
        let comparison = compare(&runs(&[1, 2, 3, 4], 0..2), &runs(&[4, 6, 7, 9], 0..3));
        let json = written(|out| comparison_json(&comparison, of, out));
        let csv = written(|out| comparison_csv(&comparison, out)).replace("\r\n", "\n");
        assert_snapshot!("comparison_for_machines", json.clone() + "\n" + &csv);
        let schema: serde_json::Value = serde_json::from_str(super::super::json::schema()).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = schema
            .iter_errors(&serde_json::from_str(&json).unwrap())
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0]);
    }

    #[test]
    fn more_is_red_and_less_green() {
        let hosts = hosts();
        let of = [Recorded { name: "a", hosts: &hosts[0] }, Recorded { name: "b", hosts: &hosts[0] }];
        let comparison = compare(&runs(&[1], 0..1), &runs(&[1], 1..2));
        let lines = comparison_lines(&comparison, of, 100, true, true);
        assert!(lines[4].starts_with(BETTER) && lines[4].contains("gone"), "{}", lines[4]);
        assert!(lines[5].starts_with(WORSE) && lines[5].contains("new"), "{}", lines[5]);
    }

    #[rstest]
    #[case(1.0, "1.00")]
    #[case(0.051_2, "0.051")]
    #[case(0.007_9, "0.008")]
    #[case(0.000_12, "0.0001")]
    #[case(0.000_01, "<0.0001")]
    fn probabilities(#[case] p: f64, #[case] text: &str) {
        assert_eq!(probability(p), text);
    }
}
