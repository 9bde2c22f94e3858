//! SIGHUP: the settings are read again. Whatever is wrong with the new ones, the old ones stay.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::time::Instant;
use tracing::{error, warn};

use super::alarm::Alarm;
use super::logs::Logs;
use super::sight::Sight;
use super::tally::Reading;
use super::{Daemon, dimensions};
use crate::aggregate::{Aggregator, Now};
use crate::model::Timestamp;
use crate::settings::Settings;

/// A moment is looked for at which both programs stand still, so often at most.
const TRIES: usize = 1000;

impl Daemon {
    /// Reads the settings again, and goes over to them in full or not at all.
    pub(super) async fn reload(&mut self) {
        self.notify.reloading();
        let result = self.take_over().await;
        self.service.metrics.reloaded(result.is_ok());
        match result {
            Ok(()) => {
                eprintln!("netdrop: the settings were read again");
                self.notify.status("settings read again");
            }
            Err(error) => {
                error!("the settings stay as they were: {error:#}");
                self.notify.status(&format!("settings stay as they were: {error:#}"));
            }
        }
        self.notify.ready();
    }

    /// What can fail comes first.
    async fn take_over(&mut self) -> anyhow::Result<()> {
        let new = self.service.sources.read()?;
        let old = Arc::clone(&self.service.settings.borrow());
        let logs = Logs::open(&new.log, &self.service.metrics).context("[log]")?;
        let interval = Some(new.capture.interval.0).filter(|interval| *interval != old.capture.interval.0);
        let ticks = interval.map(Alarm::every).transpose().context("a timer")?;
        if !new.capture.same_program(&old.capture) {
            self.change_program(&new).with_context(|| refused(&new))?;
        }
        std::mem::replace(&mut self.logs, logs).finish().await;
        if let Some(ticks) = ticks {
            self.ticks = ticks;
        }
        self.change_labels(&old, &new)?;
        self.service.settings.send_replace(Arc::new(new));
        self.due = true;
        Ok(())
    }

    /// Attaches another program beside the present one, and goes over to it at one moment: what came before is the old
    /// one's count, what comes then is the new one's. No drop is lost or counted twice as long as a moment is found in
    /// which none happens; otherwise it is said how many may be.
    fn change_program(&mut self, new: &Settings) -> anyhow::Result<()> {
        let attached = (self.service.attach)(&new.capture)?;
        let (mut next, about) = Sight::new(attached)?;
        self.look();
        let (old, new, between) = moment(&self.sight, &next)?;
        if between > 0 {
            warn!(
                "drops came while the program was changed: up to {between} are counted twice or not at all"
            );
        }
        self.tally.hand_over(old, new);
        next.skip();
        self.sight.probe.detach();
        self.hand_over_tcp(&mut next)?;
        next.undecodable += self.sight.undecodable;
        self.sight = next;
        self.service.metrics.attached(about);
        Ok(())
    }

    /// What TCP's new programs met while the old ones still counted is the old ones'.
    fn hand_over_tcp(&mut self, next: &mut Sight) -> anyhow::Result<()> {
        self.sight.detach_tcp();
        self.look();
        next.look_at_tcp(|_| ());
        next.tcp()?;
        if let Some(last) = self.sight.tcp()? {
            let _ = last.summed(&mut self.tcp);
        }
        Ok(())
    }

    /// Other labels may want other rows; those begin with what has been counted.
    fn change_labels(&mut self, old: &Settings, new: &Settings) -> anyhow::Result<()> {
        let by = dimensions(&new.metrics.labels);
        if by != dimensions(&old.metrics.labels) {
            // Everything up to now is told with the old rows, and is the new ones' beginning.
            let counters = self.sight.probe.counts.counters()?;
            let total = self.tally.total(self.sight.reading(&counters)?);
            let summary = self.summary(&total)?;
            self.service.hub.publish(summary, []);
            let elapsed = self.started.elapsed();
            let now = Now { time: Timestamp::now(), elapsed, accounts: total.accounts };
            self.aggregator = Aggregator::new(by);
            let counts = total.counts.iter().map(|(key, counts)| (*key, *counts));
            self.aggregator.summary(now, counts, &mut self.sight.names());
        }
        self.service.metrics.change(&new.metrics);
        Ok(())
    }
}

/// What to do where another program can't be loaded.
fn refused(new: &Settings) -> &'static str {
    if new.sandbox.enabled && !new.sandbox.reattach {
        "[capture] has changed, and the daemon may load no other program: restart it, or start it with sandbox.reattach = true"
    } else {
        "[capture]"
    }
}

/// What both programs say at one moment, and how many drops happened while they were asked: none, where a quiet moment
/// was found.
fn moment(old: &Sight, new: &Sight) -> anyhow::Result<(Reading, Reading, u64)> {
    let mut best: Option<(Reading, Reading, u64)> = None;
    let until = Instant::now() + std::time::Duration::from_millis(200);
    for _ in 0..TRIES {
        let before = old.probe.counts.accounts().seen;
        let new_before = new.probe.counts.accounts().seen;
        let first = old.reading(&old.probe.counts.counters()?)?;
        let second = new.reading(&new.probe.counts.counters()?)?;
        let between =
            (old.probe.counts.accounts().seen - before) + (new.probe.counts.accounts().seen - new_before);
        if best.as_ref().is_none_or(|(.., least)| between < *least) {
            best = Some((first, second, between));
        }
        if between == 0 || Instant::now() >= until {
            break;
        }
    }
    best.context("the counters were not read")
}
