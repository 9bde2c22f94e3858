//! The doctor beside a run that counts drops anyway: asked now and then, it tells of the time since it was asked last.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::doctor::{Subject, Time};
use super::memory;
use crate::doctor::{Area, Check, Diagnosis, Extent, Finding, Home, Span, all, ties};
use crate::http::window::since;
use crate::kernel::netns::{Namespaces, inode_of};
use crate::model::{Explanation, Row, Summary};
use crate::owner::Owners;

/// A run that ends waits no longer for what the doctor says.
const PATIENCE: Duration = Duration::from_secs(2);
/// While somebody looks on, it is asked so often: as long as its own window is.
const PAUSE: Duration = Duration::from_secs(5);

/// A thread that reads counters when it is started and when it is asked.
pub struct Examiner {
    asks: Sender<Ask>,
    begun: Option<oneshot::Receiver<()>>,
}

/// Which network namespaces are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// The one that netdrop is in.
    Here,
    /// All of them, where there are few: each takes some milliseconds.
    Everywhere,
    /// Those of these inode numbers, where no others' drops are counted.
    In(Vec<u32>),
}

impl Where {
    /// More than so many others are left to `netdrop doctor --netns`.
    const FEW: usize = 16;

    /// As of now, netdrop's own first; for the host alone where it isn't meant itself.
    fn homes(&self) -> (Vec<Home>, Extent) {
        let own = inode_of(Path::new("/proc/self/ns/net")).unwrap_or(0);
        let mut homes = vec![Home { inode: own, ..Home::default() }];
        let is_meant = |inode: &u32| match self {
            Self::Here => *inode == own,
            Self::Everywhere => true,
            Self::In(meant) => meant.contains(inode),
        };
        if *self != Self::Here {
            let mut namespaces = Namespaces::new(Path::new("/"));
            namespaces.refresh();
            let others = namespaces.iter().filter(|(inode, _)| *inode != own && is_meant(inode));
            let others: Vec<_> = others
                .filter_map(|(inode, name)| {
                    let enter = Some(namespaces.path(inode)?.to_owned());
                    Some(Home { inode, name: Some(name.to_owned()), enter })
                })
                .collect();
            homes.extend(Some(others).filter(|others| others.len() <= Self::FEW).into_iter().flatten());
        }
        (homes, if is_meant(&own) { Extent::All } else { Extent::FirstForHost })
    }
}

struct Ask {
    rows: Vec<Row>,
    answer: oneshot::Sender<Answer>,
}

/// What was found since the examiner was asked last, or was started.
#[derive(Debug)]
pub struct Answer {
    /// The worst finding first.
    pub diagnosis: Diagnosis,
    /// The time that was looked at.
    pub lasted: Duration,
    /// Where, netdrop's own namespace first.
    pub homes: Arc<[Home]>,
}

impl Examiner {
    /// Starts the thread, which reads the counters at once; it ends with this.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(checks: Vec<&'static Check>, place: Where) -> io::Result<Self> {
        let (asks, asked) = channel();
        let (is_read, begun) = oneshot::channel();
        let run = move || {
            let (homes, extent) = place.homes();
            examine(&checks, &homes.into(), extent, is_read, &asked);
        };
        thread::Builder::new().name("doctor".into()).spawn(run)?;
        Ok(Self { asks, begun: Some(begun) })
    }

    /// Waits until all counters have been read, within [`PATIENCE`]. While packets are lost, counters that are read one after the other are
    /// of different moments, and what they lack of each other would look like a loss of its own.
    pub async fn ready(&mut self) {
        if let Some(begun) = self.begun.take() {
            let _ = timeout(PATIENCE, begun).await;
        }
    }

    /// Asks, with the drops that were counted since the last time. No answer comes where the thread has panicked.
    pub fn ask(&self, rows: Vec<Row>) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        // That nobody is there shows where the answer is waited for.
        let _ = self.asks.send(Ask { rows, answer });
        receiver
    }
}

fn examine(
    checks: &[&'static Check],
    homes: &Arc<[Home]>,
    extent: Extent,
    is_read: oneshot::Sender<()>,
    asked: &Receiver<Ask>,
) {
    let of = Subject { checks, homes, extent };
    let mut before = of.begin();
    memory::give_back();
    // Not everybody waits for it.
    let _ = is_read.send(());
    for Ask { rows, answer } in asked {
        let after = of.end();
        let lasted = after[0].1.duration_since(before[0].1);
        // Its index of all processes' sockets is made when a finding asks, and not kept.
        let owners = RefCell::new(Owners::new(Path::new("/")));
        let time = Time { span: Span::Window, lasted };
        let diagnosis = of.judge(time, (&before, &after), &Ok(&rows), &owners);
        drop(owners);
        // Who has asked may be gone.
        let _ = answer.send(Answer { diagnosis, lasted, homes: Arc::clone(homes) });
        before = after;
        memory::give_back();
    }
}

/// The doctor beside a run: what it said last, and what it was asked.
pub struct Attending {
    examiner: Examiner,
    throughout: bool,
    /// When it was asked last, and what had been counted then.
    since: (Instant, Summary),
    answer: Option<(oneshot::Receiver<Answer>, Vec<Row>)>,
    told: Arc<[Explanation]>,
}

impl Attending {
    /// Asked at the end of the run, in which drops of these namespaces alone are counted, or of all where none is given. None where no thread
    /// is to be had: it is no part of the run.
    pub fn start(namespaces: Vec<u32>) -> Option<Self> {
        // Settings drop no packets.
        let checks = all().filter(|check| check.area != Area::Settings).collect();
        let place = if namespaces.is_empty() { Where::Everywhere } else { Where::In(namespaces) };
        let examiner = Examiner::start(checks, place).ok()?;
        let since = (Instant::now(), Summary::default());
        Some(Self { examiner, throughout: false, since, answer: None, told: Arc::default() })
    }

    /// Asked all the time, as somebody looks on.
    #[must_use]
    pub fn throughout(self) -> Self {
        Self { throughout: true, ..self }
    }

    /// Waits until its counters have been read.
    pub async fn ready(&mut self) {
        self.examiner.ready().await;
    }

    /// What explains drops as of now. Asks again, where it is time and somebody looks on.
    pub fn look(&mut self, summary: &Summary) -> Arc<[Explanation]> {
        if let Some((receiver, rows)) = &mut self.answer
            && let Ok(answer) = receiver.try_recv()
        {
            self.told = told(&answer, rows).1;
            self.answer = None;
        }
        if self.throughout && self.answer.is_none() && self.since.0.elapsed() >= PAUSE {
            let rows = since(&self.since.1, summary).rows;
            self.answer = Some((self.examiner.ask(rows.clone()), rows));
            self.since = (Instant::now(), summary.clone());
        }
        Arc::clone(&self.told)
    }

    /// What explains the drops of the whole run: the findings, and the same in short. Where somebody looked on, it was told meanwhile.
    pub async fn end(self, end: &Summary) -> (Vec<Finding>, Arc<[Explanation]>) {
        if self.throughout || end.accounts.passed() == 0 {
            return (Vec::new(), self.told);
        }
        match timeout(PATIENCE, self.examiner.ask(end.rows.clone())).await {
            Ok(Ok(answer)) => told(&answer, &end.rows),
            _ => (Vec::new(), Arc::default()),
        }
    }
}

fn told(answer: &Answer, rows: &[Row]) -> (Vec<Finding>, Arc<[Explanation]>) {
    let tied = ties(&answer.diagnosis.findings, &answer.homes, rows);
    (
        tied.iter().map(|(finding, _)| (*finding).clone()).collect(),
        tied.into_iter().map(|(_, one)| one).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_answer_is_of_the_time_since_the_last() {
        let examiner = Examiner::start(all().collect(), Where::Here).unwrap();
        let first = examiner.ask(Vec::new()).await.unwrap();
        assert_ne!(first.homes[0].inode, 0);
        let pause = Duration::from_millis(30);
        tokio::time::sleep(pause).await;
        let second = examiner.ask(Vec::new()).await.unwrap();
        assert!(second.lasted >= pause, "{:?}", second.lasted);
        let made = |diagnosis: &Diagnosis| diagnosis.checked + diagnosis.unchecked.len();
        assert_eq!([made(&first.diagnosis), made(&second.diagnosis)], [all().count(); 2]);
    }

    #[tokio::test]
    async fn a_run_without_drops_asks_nothing() {
        let attending = Attending::start(Vec::new()).unwrap();
        assert_eq!(attending.end(&Summary::default()).await, (Vec::new(), Arc::default()));
    }

    #[test]
    fn namespaces_whose_drops_are_not_counted_are_not_looked_at() {
        let own = inode_of(Path::new("/proc/self/ns/net")).unwrap();
        let of_own = (vec![Home { inode: own, ..Home::default() }], Extent::All);
        assert_eq!(Where::Here.homes(), of_own);
        assert_eq!(Where::In(vec![own]).homes(), of_own);
        // What concerns the whole host explains drops of all namespaces.
        assert_eq!(Where::In(vec![1]).homes(), (of_own.0, Extent::FirstForHost));
    }
}
