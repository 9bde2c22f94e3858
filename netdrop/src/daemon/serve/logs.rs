//! The places that lines are written to. None of them ever holds up the daemon: what finds no room is counted.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::warn;

use crate::daemon::sink::Sink;
use crate::export::metrics::{Metrics, Stage};
use crate::output::{Destination, JOURNAL, Limit, RotatingFile, Rotation, SYSLOG, journald, syslog};
use crate::settings::{Log as Settings, Target};

/// Bytes that are handed over at once, about, and that wait at most.
const CHUNK: usize = 64 << 10;
/// At the end and at a reload, a place that doesn't take what it was given gets so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// All places.
pub struct Logs {
    settings: Settings,
    places: Vec<Place>,
}

struct Place {
    target: Target,
    /// None while it can't be opened.
    sink: Option<Sink>,
    chunk: Vec<u8>,
    lines: u64,
    lost: Stage,
}

impl Logs {
    /// Opens what `settings` name.
    ///
    /// # Errors
    /// When one can't be opened; the error names it.
    pub fn open(settings: &Settings, metrics: &Metrics) -> io::Result<Self> {
        let mut targets = settings.to.clone();
        targets.dedup();
        let open = |target: Target| {
            let lost = metrics.stage(target.stage());
            let sink = Some(open(target, settings, &lost)?);
            Ok(Place { target, sink, chunk: Vec::new(), lines: 0, lost })
        };
        Ok(Self {
            settings: settings.clone(),
            places: targets.into_iter().map(open).collect::<io::Result<_>>()?,
        })
    }

    /// Whether drops are wanted.
    pub fn want_drops(&self) -> bool {
        self.settings.drops && !self.places.is_empty()
    }

    /// Whether summaries are wanted.
    pub fn want_summaries(&self) -> bool {
        self.settings.summaries && !self.places.is_empty()
    }

    /// A line, with its end.
    pub fn line(&mut self, line: &[u8]) {
        self.places.iter_mut().for_each(|place| place.line(line));
    }

    /// Hands over what waits.
    pub fn send(&mut self) {
        self.places.iter_mut().for_each(Place::send);
    }

    /// Opens again what had failed.
    pub fn retry(&mut self) {
        for place in self.places.iter_mut().filter(|place| place.sink.is_none()) {
            place.sink = open(place.target, &self.settings, &place.lost).ok();
        }
    }

    /// Writes what waits, and ends.
    pub async fn finish(mut self) {
        self.send();
        for place in self.places {
            let Some(mut sink) = place.sink else { continue };
            if let Err(error) = sink.finish(PATIENCE).await {
                warn!("{}: {error}", place.target.stage());
            }
        }
    }
}

impl Place {
    fn line(&mut self, line: &[u8]) {
        if self.chunk.len() + line.len() > CHUNK {
            self.send();
        }
        if self.sink.is_none() || self.chunk.len() + line.len() > CHUNK {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.chunk.extend_from_slice(line);
        self.lines += 1;
    }

    fn send(&mut self) {
        let Some(sink) = self.sink.as_mut().filter(|sink| sink.has_room()) else { return };
        let lines = std::mem::take(&mut self.lines);
        if let Err(error) = sink.send(&mut self.chunk) {
            warn!("{}: {error}; it is tried again", self.target.stage());
            self.lost.fetch_add(lines, Ordering::Relaxed);
            self.chunk.clear();
            self.sink = None;
        }
    }
}

fn open(target: Target, settings: &Settings, lost: &Stage) -> io::Result<Sink> {
    let lost = std::sync::Arc::clone(lost);
    let destination: Box<dyn Destination> = match target {
        Target::Stdout => Box::new(std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        Target::File => Box::new(file(settings)?),
        Target::Syslog => {
            let host = nix::unistd::gethostname().unwrap_or_default();
            Box::new(syslog(Path::new(SYSLOG), &host.to_string_lossy(), lost))
        }
        Target::Journald => Box::new(journald(Path::new(JOURNAL), lost)),
    };
    Sink::start(destination)
}

fn file(settings: &Settings) -> io::Result<RotatingFile> {
    if let Some(folder) = settings.file.parent() {
        // What is wrong is told by the opening.
        let _ = std::fs::create_dir_all(folder);
    }
    // Always with a limit: an existing file is continued then.
    let limit = settings.rotate.0.unwrap_or(Limit::Size(u64::MAX));
    RotatingFile::open(&settings.file, Some(Rotation { limit, keep: settings.keep }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::metrics;

    fn to_file(path: &Path) -> Settings {
        Settings { to: vec![Target::File], file: path.to_owned(), ..Settings::default() }
    }

    #[tokio::test]
    async fn lines_reach_a_file_that_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made").join("drops.jsonl");
        let metrics = Metrics::new(&metrics::Settings::default());
        for line in [b"a\n", b"b\n"] {
            let mut logs = Logs::open(&to_file(&path), &metrics).unwrap();
            assert!(logs.want_drops() && !logs.want_summaries());
            logs.line(line);
            logs.finish().await;
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nb\n");
        assert_eq!(metrics.stage("log_file").load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_full_disk_costs_lines_and_is_tried_again() {
        let metrics = Metrics::new(&metrics::Settings::default());
        let mut logs = Logs::open(&to_file(Path::new("/dev/full")), &metrics).unwrap();
        let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<_>>();
        let mut sent = 0_u64;
        while logs.places[0].sink.is_some() {
            logs.line(&line);
            logs.send();
            sent += 1;
            tokio::task::yield_now().await;
        }
        // The first chunks were taken before the writer met the full disk.
        let lost = metrics.stage("log_file").load(Ordering::Relaxed);
        assert!(lost >= 1 && lost <= sent, "{lost} of {sent}");
        logs.line(&line);
        assert_eq!(metrics.stage("log_file").load(Ordering::Relaxed), lost + 1);
        logs.retry();
        assert!(logs.places[0].sink.is_some());
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let metrics = Metrics::new(&metrics::Settings::default());
        let error = Logs::open(&to_file(Path::new("/proc/none/drops")), &metrics).err().unwrap();
        assert!(error.to_string().starts_with("cannot open /proc/none/drops"), "{error}");
    }
}
