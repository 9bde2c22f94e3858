//! Made-up windows for the tests of checks.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use super::{Check, Extent, Finding, Home, Part, Snapshot, Span, Unread, Whose, Window, diagnose, rank};
use crate::knowledge::Class;
use crate::model::{Counts, Device, Holding, Owner, Process, Reason, Row, Site};
use crate::owner::Socket;

/// A window under way. It lasts five seconds where nothing else is said.
#[derive(Default)]
pub struct Made {
    lasted: Option<Duration>,
    before: Snapshot,
    after: Snapshot,
    owners: HashMap<u32, Arc<Owner>>,
    rows: Vec<Row>,
    home: Home,
    since_boot: bool,
}

impl<S: BuildHasher> Whose for HashMap<u32, Arc<Owner>, S> {
    fn owner(&self, socket: Socket) -> Option<Arc<Owner>> {
        self.get(&socket.inode).cloned()
    }
}

impl Made {
    /// A part at both ends.
    #[must_use]
    pub fn part<P: Part>(mut self, before: P, after: P) -> Self {
        self.before.put(Ok(before));
        self.after.put(Ok(after));
        self
    }

    /// A part that couldn't be read.
    #[must_use]
    pub fn without<P: Part>(mut self, why: &str) -> Self {
        self.before.put(Err::<P, _>(Unread::new(P::FROM, why)));
        self.after.put(Err::<P, _>(Unread::new(P::FROM, why)));
        self
    }

    /// A socket's owner.
    #[must_use]
    pub fn owner(mut self, inode: u32, command: &str, pid: u32) -> Self {
        let process = Process { pid, command: command.into(), holding: Holding::Open };
        self.owners.insert(inode, Arc::new(Owner { processes: vec![process], ..Owner::default() }));
        self
    }

    /// Rows of drops.
    #[must_use]
    pub fn drops(self, rows: Vec<Row>) -> Self {
        Self { rows, ..self }
    }

    /// In another namespace.
    #[must_use]
    pub fn at(self, home: Home) -> Self {
        Self { home, ..self }
    }

    /// Of another length.
    #[must_use]
    pub fn lasting(self, lasted: Duration) -> Self {
        Self { lasted: Some(lasted), ..self }
    }

    /// Since the boot.
    #[must_use]
    pub fn since_boot(self) -> Self {
        Self { since_boot: true, ..self }
    }

    /// What comes of a check, ranked; or why it can't be made.
    pub fn check(&self, check: &'static Check) -> Result<Vec<Finding>, String> {
        let window = Window {
            before: &self.before,
            after: &self.after,
            lasted: self.lasted.unwrap_or(Duration::from_secs(5)),
            span: if self.since_boot { Span::SinceBoot } else { Span::Window },
            drops: Ok(&self.rows),
            home: &self.home,
            whose: &self.owners,
        };
        let mut diagnosis = diagnose(&[check], &[window], Extent::All);
        rank(&mut diagnosis.findings);
        diagnosis.findings.iter().for_each(agrees);
        match diagnosis.unchecked.pop() {
            Some(unchecked) => Err(unchecked.why),
            None => Ok(diagnosis.findings),
        }
    }

    /// The findings as people read them.
    pub fn told(&self, check: &'static Check) -> String {
        let findings = self.check(check).unwrap();
        findings.iter().map(|finding| crate::output::doctor::finding(finding, 100, false) + "\n").collect()
    }
}

/// Where a sentence tells of one, it doesn't speak of many: `1 packets`. After a number that is a name come verbs: `CPU 1 takes`.
pub fn agrees(finding: &Finding) {
    const NO_NOUNS: [&str; 9] = ["is", "was", "has", "does", "gets", "takes", "s", "ms", "µs"];
    let words: Vec<&str> = finding.sentence.split_whitespace().collect();
    let many = words.windows(2).find(|pair| {
        let word = pair[1].trim_end_matches([',', '.', ':', ';']);
        pair[0] == "1" && (word.ends_with('s') || word == "were") && !NO_NOUNS.contains(&word)
    });
    assert_eq!(many, None, "{}: {}", finding.check, finding.sentence);
}

/// So many drops of a reason in a function at a device.
pub fn row(reason: &str, function: &str, device: &str, packets: u64) -> Row {
    let reason = Reason { number: 9, name: reason.into(), class: Class::Unknown, subsystem: "core".into() };
    Row {
        counts: Counts { packets, bytes: packets * 100 },
        site: Some(Arc::new(Site { function: Some(function.into()), offset: 16, ..Site::default() })),
        reason: Some(Arc::new(reason)),
        device: Some(Arc::new(Device { index: 2, name: Some(device.into()) })),
        ..Row::default()
    }
}
