//! Wording and columns of the table and of the end.

use super::super::by::{By, Dimension};
use super::super::columns::{self, Side, about, accounts, identity};
use super::{Directions, ResetType, SumsRow, exact, of_type};
use crate::knowledge;
use crate::model::Summary;
use crate::model::tcp::TcpSummary;
use crate::output::columns::{Column, cut, table};
use crate::output::words::Plain;
use crate::units::{elapsed, per_second, rate, thousands};

/// Rows at the end: whoever wants all has them as events.
const MOST_LINES: usize = 60;

/// `3 sent, 2 received`
pub fn directions(counts: &Directions) -> String {
    let parts = counts.0.into_iter().zip(["sent", "received"]).filter(|(count, _)| *count > 0);
    parts.map(|(count, what)| format!("{} {what}", thousands(count))).collect::<Vec<_>>().join(", ")
}

/// `1 reset`, `12 resets`
pub fn resets(count: u64) -> String {
    format!("{} reset{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// The live table's first line.
pub fn headline(summary: &Summary, tcp: &TcpSummary) -> String {
    let time = elapsed(std::time::Duration::from_secs(summary.elapsed.as_secs()));
    let (interval, total) = exact(tcp);
    if total.sum() == 0 {
        return format!("no resets yet ({time}); Ctrl-C ends");
    }
    let now = per_second(interval.sum(), summary.interval);
    let mut parts = vec![format!("{} in {time} · now {now}/s", resets(total.sum())), directions(&total)];
    let lost = [(tcp.total.ring_full, "details lost"), (tcp.total.recursion_misses, "unseen")];
    let lost = lost.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(lost.map(|(count, why)| format!("{} {why}", thousands(count))));
    parts.join(" · ")
}

/// Columns: how many first (`first`), direction, reason, state, what the row is of, the connection seen last.
pub fn columns(rows: &[SumsRow], by: By, first: Vec<Column>) -> Vec<Column> {
    let mut columns = first;
    if by.has(Dimension::Type) {
        let what = |row: &SumsRow, of: fn(&ResetType) -> Option<String>| match &row.key.what {
            Some(what) => of(what),
            None => None,
        };
        // It names the row of all others, as the first of what tells rows apart.
        columns.push(Column::text("DIRECTION", 8, rows, |row| {
            if row.is_others() {
                Some("(others)".into())
            } else {
                what(row, |what| Some(what.direction().into()))
            }
        }));
        columns.push(Column::text("REASON", 22, rows, |row| {
            what(row, |what| what.reason.as_ref().map(|reason| Plain(reason).to_string()))
        }));
        columns.push(Column::text("STATE", 11, rows, |row| what(row, |what| what.state.map(columns::state))));
    } else {
        let direction = |title, index: usize| {
            Column::number(title, rows, |row: &SumsRow| match row.total.0[index] {
                0 => String::new(),
                count => thousands(count),
            })
            .optional()
        };
        columns.extend([direction("SENT", 0), direction("RECEIVED", 1)]);
    }
    columns.extend(identity(by, rows));
    if !by.has(Dimension::Owner) {
        let owner = |row: &SumsRow| {
            let owner = row.last.as_ref()?.owner.as_ref()?;
            Some(Plain(&owner.owner.to_string()).to_string())
        };
        columns.push(Column::text("OWNER", 15, rows, owner).optional());
    }
    if !by.has(Dimension::Flow) {
        let last = |row: &SumsRow| {
            let last = row.last.as_ref()?;
            Some(format!("{} > {}", Side(last.local), Side(last.remote)))
        };
        columns.push(Column::text("LATEST", 25, rows, last).optional());
    }
    columns
}

/// Lines of rows, at most `room` besides the titles.
pub fn rows(rows: &[SumsRow], columns: Vec<Column>, width: usize, color: bool, room: usize) -> Vec<String> {
    let mut lines = table(columns, width, color);
    if rows.len() > room {
        let shown = room.saturating_sub(1);
        lines.truncate(1 + shown);
        lines.push(cut(&format!("… and {} more rows", thousands((rows.len() - shown) as u64)), width));
    }
    lines
}

/// What the row of most resets means.
pub fn meaning(rows: &[SumsRow]) -> Option<String> {
    rows.iter().find_map(|row| row.key.what.as_ref()).and_then(sentence)
}

/// `NO_SOCKET: …`, `received in ESTABLISHED: …`; absent where nothing tells.
fn sentence(what: &ResetType) -> Option<String> {
    let text = Some(of_type(what)).filter(|text| !text.is_empty())?;
    let name = match (&what.reason, what.state) {
        (Some(reason), _) => reason.to_string(),
        (None, Some(state)) => format!("{} in {}", what.direction(), columns::state(state)),
        (None, None) => what.direction().to_owned(),
    };
    Some(format!("{name}: {text}"))
}

/// The whole run: how many, every row, what the first means, what wasn't told, accounts.
pub fn end(summary: &Summary, rows: &[SumsRow], by: By, width: usize, color: bool) -> Vec<String> {
    let time = elapsed(summary.elapsed);
    let nothing = TcpSummary::default();
    let tcp = summary.tcp.as_deref().unwrap_or(&nothing);
    let (_, total) = exact(tcp);
    let mut lines = if total.sum() == 0 {
        vec![format!("No resets in {time}.")]
    } else {
        let average = rate(total.sum(), summary.elapsed);
        vec![format!("{} in {time}, {average} on average: {}.", resets(total.sum()), directions(&total))]
    };
    if !rows.is_empty() {
        let first = vec![Column::number("RESETS", rows, |row: &SumsRow| {
            format!("{}{}", about(&tcp.total), thousands(row.total.sum()))
        })];
        lines.push(String::new());
        lines.extend(self::rows(rows, columns(rows, by, first), width, color, MOST_LINES));
        lines.extend(meanings(rows));
        lines.push(String::new());
    }
    lines.extend(derived(rows));
    lines.extend(untold(tcp, &total));
    lines.extend(accounts(&tcp.total));
    lines
}

/// What each type means, the first three, and where there is more about the kernel's reasons.
fn meanings(rows: &[SumsRow]) -> Vec<String> {
    const EXPLAINED: usize = 3;
    let types = || rows.iter().filter_map(|row| row.key.what.as_ref());
    let mut lines: Vec<String> = Vec::new();
    for line in types().filter_map(sentence) {
        if lines.len() < EXPLAINED && !lines.contains(&line) {
            lines.push(line);
        }
    }
    let known = types().filter(|what| what.told).find_map(|what| knowledge::reset(what.reason.as_deref()?));
    lines.extend(
        known.map(|entry| format!("netdrop explain SK_RST_REASON_{}: causes and remedies.", entry.name())),
    );
    lines
}

/// Reasons in brackets are netdrop's.
fn derived(rows: &[SumsRow]) -> Option<String> {
    let is_derived =
        |row: &SumsRow| row.key.what.as_ref().is_some_and(|what| what.reason.is_some() && !what.told);
    rows.iter().any(is_derived).then(|| {
        "Reasons in brackets are derived from the state and the packet that is answered: the kernel gives none (before 6.10, and NOT_SPECIFIED).".into()
    })
}

/// Resets that the kernel counted and no tracepoint told. Both counts are of different things with a filter, and where other
/// namespaces have sent more.
fn untold(tcp: &TcpSummary, total: &Directions) -> Option<String> {
    let untold = tcp.host_total.resets_out.saturating_sub(total.0[0]);
    (untold > 0 && tcp.total.filtered == 0).then(|| {
        format!(
            "{} more sent in this network namespace than the tracepoint told (TcpOutRsts): before 6.10 it leaves out those of no whole socket, as from closed ports.",
            thousands(untold)
        )
    })
}
