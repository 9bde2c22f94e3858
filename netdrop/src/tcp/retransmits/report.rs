//! Wording and columns of the table and of the end.

use super::super::by::{By, Dimension};
use super::super::columns::{self, about, accounts, identity};
use super::super::why::Story;
use super::Plan;
use super::sums::{ByType, SumsRow, Told, failed};
use crate::model::Summary;
use crate::model::tcp::{HostCounts, Retransmit, TcpSummary};
use crate::output::columns::{Column, cut, table};
use crate::output::explain::wrap;
use crate::output::words::Plain;
use crate::units::{elapsed, per_second, rate, thousands};

/// Lines of rows at the end: whoever wants all has them as events.
const MOST_LINES: usize = 60;

/// `rto 5, fast 4`; empty without any.
pub fn types(counts: &ByType) -> String {
    let some = Retransmit::ALL.into_iter().zip(counts.0).filter(|(_, count)| *count > 0);
    some.map(|(by, count)| format!("{by} {}", thousands(count))).collect::<Vec<_>>().join(", ")
}

/// What part of all was sent again; absent where nothing was sent.
pub fn ratio(part: u64, all: u64) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
    let percent = part as f64 * 100.0 / all as f64;
    match () {
        () if all == 0 => None,
        () if part > 0 && percent < 0.01 => Some("<0.01%".into()),
        () => Some(format!("{percent:.2}%")),
    }
}

/// `0.12% of 10,234 segments`, as the kernel itself counts; absent where it counted none.
pub fn of_host(host: &HostCounts) -> Option<String> {
    let ratio = ratio(host.segments_retransmitted, host.segments_out)?;
    Some(format!("{ratio} of {} segments", thousands(host.segments_out)))
}

/// The live table's first line.
pub fn headline(summary: &Summary, tcp: &TcpSummary, told: &Told) -> String {
    let time = elapsed(std::time::Duration::from_secs(summary.elapsed.as_secs()));
    let all = told.total.sum();
    if all == 0 {
        return format!("no retransmits yet ({time}); Ctrl-C ends");
    }
    let now = per_second(told.interval.sum(), summary.interval);
    let mut parts = vec![format!("{} in {time} · now {now}/s", count(all)), types(&told.total)];
    parts.extend(of_host(&tcp.host_total).map(|host| format!("host {host}")));
    let lost = [
        (failed(tcp), "couldn't be sent"),
        (tcp.total.ring_full, "details lost"),
        (tcp.total.recursion_misses, "unseen"),
    ];
    let lost = lost.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(lost.map(|(count, why)| format!("{} {why}", thousands(count))));
    parts.join(" · ")
}

/// `1 retransmit`, `12 retransmits`
pub fn count(retransmits: u64) -> String {
    format!("{} retransmit{}", thousands(retransmits), if retransmits == 1 { "" } else { "s" })
}

/// The lines of an interval or of the whole run, at most `width` wide: a line a row, below it why, where that is asked for.
/// At most `room` lines besides the titles.
pub fn rows(told: &Told, columns: Vec<Column>, view: (usize, bool), room: usize) -> Vec<String> {
    let (width, color) = view;
    let mut lines = table(columns, width, color).into_iter();
    let mut shown: Vec<String> = lines.next().into_iter().collect();
    let blocks: Vec<Vec<String>> =
        lines.zip(&told.stories).map(|(line, story)| block(line, story.as_ref(), width)).collect();
    // Without room for all, the last line tells of the rest.
    let all: usize = blocks.iter().map(Vec::len).sum();
    let room = if all <= room { room } else { room.saturating_sub(1) };
    let (mut used, mut fits) = (0, 0);
    for block in &blocks {
        if used + block.len() > room {
            break;
        }
        used += block.len();
        fits += 1;
        shown.extend_from_slice(block);
    }
    if fits < blocks.len() {
        shown.push(cut(&format!("… and {} more rows", thousands((blocks.len() - fits) as u64)), width));
    }
    shown
}

/// A row's line, and why below it.
fn block(line: String, story: Option<&Story>, width: usize) -> Vec<String> {
    const INDENT: usize = 4;
    let mut block = vec![line];
    if let Some(story) = story {
        let wrapped = wrap(&story.sentence(), width.saturating_sub(INDENT).max(1));
        let mark = |index| if index == 0 { "  ↳ " } else { "    " };
        block.extend(
            wrapped.iter().enumerate().map(|(index, part)| cut(&format!("{}{part}", mark(index)), width)),
        );
    }
    block
}

/// Columns: how many first (`first`), by what made TCP send again, ratio, what the row is of, the connection as it was last.
pub fn columns(told: &Told, by: By, tcp: &TcpSummary, first: Vec<Column>) -> Vec<Column> {
    let rows = &told.rows;
    let about = about(&tcp.total);
    let mut columns = first;
    // Each type has a column: where rows differ by type, the type is one.
    if by.has(Dimension::Type) {
        columns.push(Column::text("TYPE", 8, rows, |row| {
            if row.is_others() { Some("(others)".into()) } else { row.key.what.map(|by| by.to_string()) }
        }));
    }
    columns.extend(identity(by, rows));
    if by.has(Dimension::Flow) {
        columns.push(Column::number("RATIO", rows, |row| {
            let numbers = row.last.as_ref().and_then(|last| last.numbers.as_ref());
            numbers
                .and_then(|numbers| ratio(numbers.retransmits.into(), numbers.segments_out.into()))
                .unwrap_or_default()
        }));
    }
    if !by.has(Dimension::Type) {
        let titles = ["RTO", "FAST", "TLP", "SYN", "SYN-ACK", "OTHER"];
        for (index, title) in titles.into_iter().enumerate() {
            let cell = |row: &SumsRow| match row.total.0[index] {
                0 => String::new(),
                count => format!("{about}{}", thousands(count)),
            };
            columns.push(Column::number(title, rows, cell).optional());
        }
    }
    if !by.has(Dimension::Owner) {
        let owner = |row: &SumsRow| {
            let owner = row.last.as_ref()?.owner.as_ref()?;
            Some(Plain(&owner.owner.to_string()).to_string())
        };
        columns.push(Column::text("OWNER", 15, rows, owner).optional());
    }
    if by.has(Dimension::Flow) {
        let number = |title, of: fn(&crate::model::tcp::TcpNumbers) -> Option<String>| {
            let cell = |row: &SumsRow| row.last.as_ref()?.numbers.as_ref().and_then(|numbers| of(numbers));
            Column::number(title, rows, |row| cell(row).unwrap_or_default()).optional()
        };
        columns.push(number("SRTT", |numbers| (numbers.srtt_us > 0).then(|| columns::time(numbers.srtt_us))));
        columns.push(number("CWND", |numbers| (numbers.cwnd > 0).then(|| numbers.cwnd.to_string())));
    }
    columns
}

/// The whole run: how many, the host's ratio, every row, accounts.
pub fn end(summary: &Summary, told: &Told, plan: Plan, width: usize, color: bool) -> Vec<String> {
    let time = elapsed(summary.elapsed);
    let Some(tcp) = &summary.tcp else { return vec![format!("No retransmits in {time}.")] };
    let all = told.total.sum();
    let mut lines = if all == 0 {
        vec![format!("No retransmits in {time}.")]
    } else {
        let average = rate(all, summary.elapsed);
        vec![format!("{} in {time}, {average} on average: {}.", count(all), types(&told.total))]
    };
    if failed(tcp) > 0 {
        lines.push(format!("{} more couldn't be sent: they are in no count here.", count(failed(tcp))));
    }
    lines.extend(host_line(&tcp.host_total));
    if all > 0 {
        let first =
            vec![Column::number("RETRANS", &told.rows, |row: &SumsRow| counted(tcp, row.total.sum()))];
        lines.push(String::new());
        lines.extend(rows(told, columns(told, plan.by, tcp, first), (width, color), MOST_LINES));
        lines.extend(hint(told));
        lines.push(String::new());
    }
    lines.extend(accounts(&tcp.total));
    if plan.why {
        lines.extend(drops_line(summary));
    }
    lines
}

/// A row's count: an estimate where not every event was told in detail.
pub fn counted(tcp: &TcpSummary, count: u64) -> String {
    format!("{}{}", about(&tcp.total), thousands(count))
}

/// What the kernel counts itself.
pub fn host_line(host: &HostCounts) -> Option<String> {
    let ratio = of_host(host)?;
    let again = thousands(host.segments_retransmitted);
    Some(format!(
        "This network namespace sent {again} segments again: {ratio} sent (TcpRetransSegs, TcpOutSegs)."
    ))
}

/// What to ask next: the place of most drops.
pub fn hint(told: &Told) -> Option<String> {
    let hint = told.stories.iter().flatten().find_map(|story| story.hint())?;
    Some(format!("netdrop explain {}: what it means, and what helps.", Plain(hint)))
}

/// How well the drops were seen, as no drop seen is a statement too.
fn drops_line(summary: &Summary) -> Option<String> {
    let drops = &summary.total;
    if drops.seen == 0 {
        return None;
    }
    Some(format!(
        "Beside {} drops, {} of them told in detail: joined by addresses and ports, so that those under other ones (NAT, tunnels) are missing.",
        thousands(drops.passed()),
        thousands(drops.detailed)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, 0, None)]
    #[case(0, 9, Some("0.00%"))]
    #[case(1, 1_000_000, Some("<0.01%"))]
    #[case(12, 10_000, Some("0.12%"))]
    #[case(3, 2, Some("150.00%"))]
    fn ratios(#[case] part: u64, #[case] all: u64, #[case] expected: Option<&str>) {
        assert_eq!(ratio(part, all).as_deref(), expected);
    }
}
