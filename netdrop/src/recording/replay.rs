//! Lines in, the summary of each run out. The aggregator is that of `watch`; what the kernel's counters are to it there, the recorded
//! rows are here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::book::Book;
use super::error::RecordingError;
use super::line::{DropLine, Line, RowLine, Totals};
use super::tcp::Told;
use crate::aggregate::{Aggregator, By, Dimension, Now};
use crate::model::{
    Accounts, Attribution, Context, CountKey, Counts, Drop, Explanation, Header, Host, Row, Summary,
    Timestamp,
};

/// A part of the time; counts are those of the summaries in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl Window {
    fn holds(self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time < until)
    }

    fn is_all(self) -> bool {
        self == Self::default()
    }
}

/// How far a run was recorded that has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unended {
    /// To this summary.
    Summary(Timestamp),
    /// It has details alone.
    Details,
}

/// Who is told what passes by while a recording is read.
pub trait Listener {
    /// A detailed drop, and the line that tells of it.
    fn drop(&mut self, drop: &Drop<'_>, line: &[u8]);
    /// The counts of an interval, as they were recorded.
    fn summary(&mut self, summary: &Summary);
    /// What the doctor found that explains the run's drops, and the line that tells all of it.
    fn finding(&mut self, _finding: &Explanation, _line: &[u8]) {}
}

/// All details of a run together.
#[derive(Debug, Clone, Copy, Default)]
struct Details {
    first: Option<Timestamp>,
    last: Timestamp,
    count: u64,
    weight: u64,
}

/// Reads any number of runs.
#[derive(Debug)]
pub struct Replay {
    by: By,
    window: Window,
    run: Option<Run>,
    ended: Vec<Summary>,
    hosts: Vec<Host>,
}

/// A run under way.
#[derive(Debug)]
struct Run {
    book: Book,
    /// The rows from counts, or from details where only these can tell.
    counted: Aggregator,
    /// The rows from details, for what the recorded rows don't tell apart; none where `counted` is from details anyway.
    estimated: Option<Aggregator>,
    counters: HashMap<CountKey, Counts>,
    now: Now,
    /// Whether there were counts at all.
    has_totals: bool,
    details: Details,
    /// What other counters said at the end.
    attribution: Attribution,
    /// TCP's own events.
    tcp: Told,
    /// What the doctor said.
    findings: Vec<Explanation>,
    /// What the rows tell apart.
    in_rows: By,
    /// What the details tell.
    in_details: By,
}

impl Replay {
    /// Rows that differ by `by`, of the drops in `window`.
    pub fn new(by: By, window: Window) -> Self {
        Self { by, window, run: None, ended: Vec::new(), hosts: Vec::new() }
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// When a run has ended whose lines can't tell what was asked for.
    pub fn take(&mut self, line: &Line<'_>) -> Result<(), RecordingError> {
        self.tell(line, &[], None)
    }

    /// Takes the next line, whose own text is `text`, and tells the listener.
    ///
    /// # Errors
    /// As [`Replay::take`].
    pub fn tell(
        &mut self,
        line: &Line<'_>,
        text: &[u8],
        listener: Option<&mut dyn Listener>,
    ) -> Result<(), RecordingError> {
        let (by, window) = (self.by, self.window);
        let run = self.run.get_or_insert_with(|| Run::new(by));
        match line {
            Line::Drop(drop) if window.holds(drop.time) => run.drop(drop, text, listener),
            Line::Summary(totals) if window.holds(totals.time) => run.summary(totals, listener),
            Line::End(totals) => {
                if window.is_all() {
                    run.end(totals);
                }
                self.hosts.extend(totals.host.clone().filter(|host| !self.hosts.contains(host)));
                self.finish()?;
            }
            Line::Rtt(rtt) => run.tcp.rtt((**rtt).clone()),
            Line::Drop(_) | Line::Summary(_) => run.tcp.pass(),
            Line::Finding(finding) if window.is_all() => {
                run.findings.push((**finding).clone());
                if let Some(listener) = listener {
                    listener.finding(finding, text);
                }
            }
            Line::Finding(_) | Line::Tcp(_) | Line::Other => {}
        }
        Ok(())
    }

    /// The last line of a recording was given. Where its run has no end, tells how far it goes.
    ///
    /// # Errors
    /// When its lines can't tell what was asked for.
    pub fn finish(&mut self) -> Result<Option<Unended>, RecordingError> {
        let Some(run) = self.run.take() else { return Ok(None) };
        let unended = if run.has_totals { Unended::Summary(run.now.time) } else { Unended::Details };
        self.ended.push(run.finish(self.by)?);
        Ok(Some(unended))
    }

    /// The machines that the runs so far were recorded on, each once.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// What each run came to, in order.
    pub fn into_summaries(self) -> Vec<Summary> {
        self.ended
    }
}

impl Run {
    fn new(by: By) -> Self {
        Self {
            book: Book::default(),
            counted: Aggregator::new(by),
            estimated: (!by.needs_details()).then(|| Aggregator::from_details(by)),
            counters: HashMap::new(),
            now: Now::default(),
            has_totals: false,
            details: Details::default(),
            attribution: Attribution::default(),
            tcp: Told::default(),
            findings: Vec::new(),
            in_rows: By::NONE,
            in_details: By::NONE,
        }
    }

    fn drop(&mut self, line: &DropLine<'_>, text: &[u8], listener: Option<&mut dyn Listener>) {
        let key = self.book.key(&line.whence, line.packet.protocol);
        self.in_details = told(self.in_details, &key, line.whence.site.is_some());
        let names = self.book.names(&key);
        let drop = Drop {
            time: line.time,
            weight: line.weight,
            site: &names.site,
            reason: names.reason.as_deref(),
            cpu: line.cpu,
            device: names.device.as_deref(),
            netns: names.netns.as_deref(),
            packet: &line.packet,
            header: Header::default(),
            context: Context { owner: line.owner.as_ref(), stack: &line.stack, ..Context::default() },
        };
        self.details.add(&drop);
        self.counted.record(&drop);
        if let Some(estimated) = &mut self.estimated {
            estimated.record(&drop);
        }
        if let Some(listener) = listener {
            listener.drop(&drop, text);
        }
    }

    fn summary(&mut self, totals: &Totals<'_>, listener: Option<&mut dyn Listener>) {
        let accounts = self.now.accounts;
        self.now = Now {
            time: totals.time,
            elapsed: self.now.elapsed.saturating_add(totals.interval),
            accounts: accounts.plus(&totals.accounts),
        };
        let tcp = self.tcp.summary(totals.tcp.as_ref());
        self.rows(totals);
        self.counted.turn();
        if let Some(estimated) = &mut self.estimated {
            estimated.turn();
        }
        if let Some(listener) = listener {
            listener.summary(&Summary { tcp, ..self.interval(totals) });
        }
    }

    /// The rows as they were recorded.
    fn interval(&mut self, totals: &Totals<'_>) -> Summary {
        Summary {
            time: totals.time,
            interval: totals.interval,
            elapsed: self.now.elapsed,
            rows: totals.rows.iter().map(|row| named(&mut self.book, row)).collect(),
            accounts: totals.accounts,
            total: self.now.accounts,
            attribution: Attribution::default(),
            tcp: None,
            findings: Arc::default(),
        }
    }

    /// The end says it all, also what was in files that are gone.
    fn end(&mut self, totals: &Totals<'_>) {
        self.now = Now { time: totals.time, elapsed: totals.interval, accounts: totals.accounts };
        self.attribution = totals.attribution.clone();
        self.tcp.end(totals.tcp.as_ref());
        self.counters.clear();
        self.rows(totals);
    }

    fn rows(&mut self, totals: &Totals<'_>) {
        self.has_totals = true;
        for row in &totals.rows {
            let key = self.book.key(&row.whence, row.protocol.unwrap_or_default());
            // Estimates don't add up to exact counts of anything but the whole.
            if !row.estimated {
                let has_address = {
                    let site = row.whence.site.as_ref();
                    site.is_some_and(|site| site.address.is_some() || site.trap.is_some())
                };
                self.in_rows = told(self.in_rows, &key, has_address);
            }
            let counters = self.counters.entry(key).or_default();
            counters.packets = counters.packets.saturating_add(row.counts.packets);
            counters.bytes = counters.bytes.saturating_add(row.counts.bytes);
        }
    }

    fn finish(mut self, by: By) -> Result<Summary, RecordingError> {
        if !self.has_totals {
            let mut aggregator = self.estimated.unwrap_or(self.counted);
            return Ok(aggregator.end(self.details.now(), [], &mut self.book));
        }
        let untold = |dimension: &Dimension| !self.in_rows.has(*dimension);
        let counted = by.needs_details() || self.counters.is_empty() || {
            let in_details = |dimension: &Dimension| self.in_details.has(*dimension);
            let is_code = |dimension: &Dimension| matches!(dimension, Dimension::Site | Dimension::Function);
            // Of every drop the site is known; what else no line tells may just not have been there.
            if let Some(code) = by.iter().filter(untold).find(|each| is_code(each) && !in_details(each)) {
                return Err(RecordingError::Untold([code].into_iter().collect()));
            }
            !by.iter().filter(untold).any(|each| in_details(&each))
        };
        let mut aggregator = self.estimated.filter(|_| !counted).unwrap_or(self.counted);
        let end = aggregator.end(self.now, self.counters, &mut self.book);
        let findings = self.findings.into();
        Ok(Summary { attribution: self.attribution, tcp: self.tcp.finish(), findings, ..end })
    }
}

impl Details {
    fn add(&mut self, drop: &Drop<'_>) {
        self.first.get_or_insert(drop.time);
        self.last = self.last.max(drop.time);
        self.count += 1;
        self.weight = self.weight.saturating_add(drop.weight);
    }

    /// What is known without any count: these drops happened, and those that they stand for.
    fn now(&self) -> Now {
        let first = self.first.unwrap_or_default().since_epoch();
        let accounts = Accounts {
            seen: self.weight,
            detailed: self.count,
            sampled_out: self.weight.saturating_sub(self.count),
            ..Accounts::default()
        };
        let millis = self.last.since_epoch().saturating_sub(first).as_millis();
        let elapsed = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        Now { time: self.last, elapsed, accounts }
    }
}

/// A row with the names that its line has.
fn named(book: &mut Book, line: &RowLine<'_>) -> Row {
    let key = book.key(&line.whence, line.protocol.unwrap_or_default());
    let names = book.names(&key);
    let site = line.whence.site.as_ref();
    let reason = names.reason.as_ref().map(|reason| reason.name.as_str());
    Row {
        counts: line.counts,
        total: line.counts,
        estimated: line.estimated,
        other: line.other,
        class: line.whence.class.or_else(|| site.map(|_| names.site.class(reason))),
        function: site.and_then(|site| Some(site.function.as_ref()?.to_string())),
        site: site.filter(|site| site.address.is_some() || site.trap.is_some()).map(|_| names.site),
        reason: names.reason,
        device: names.device,
        netns: names.netns,
        protocol: line.protocol,
        source: line.source,
        destination: line.destination,
        port: line.port,
        ..Row::default()
    }
}

/// `by` and what a line counted under `key` tells.
fn told(mut by: By, key: &CountKey, has_address: bool) -> By {
    let tells = [
        (Dimension::Site, has_address),
        (Dimension::Function, key.address != 0),
        (Dimension::Reason, key.reason.is_some()),
        (Dimension::Device, key.ifindex != 0),
        (Dimension::Netns, key.netns != 0),
        (Dimension::Proto, key.protocol.is_known()),
    ];
    for (dimension, told) in tells {
        by = if told { by.with(dimension) } else { by };
    }
    by
}
