//! What the user of `top` writes to files meanwhile. A file that can't be written ends its recording, not the run.

use std::path::Path;

use super::outlets::{Format, Outlet};
use super::sink::{Sink, SinkError};
use crate::model::tcp::TcpEvent;
use crate::model::{Drop, Summary};
use crate::output::RotatingFile;
use crate::top::Recorder;

/// The recording under way, and the one before it.
#[derive(Default)]
pub struct Recordings {
    current: Option<Current>,
    /// Its thread may still write.
    before: Option<Outlet>,
}

struct Current {
    outlet: Outlet,
    file: String,
    /// The next summary is its last.
    ends: bool,
}

impl Recordings {
    /// Whether what comes is written.
    pub fn is_on(&self) -> bool {
        self.current.is_some()
    }

    /// Writes what comes after `last` into a file; gives its name.
    ///
    /// # Errors
    /// When it can't be written; in words.
    pub fn start(&mut self, last: &Summary) -> Result<String, String> {
        let file = free_name();
        let failed = |error: &dyn std::fmt::Display| format!("can't record into {file}: {error}");
        let output = RotatingFile::open(Path::new(&file), None).map_err(|error| failed(&error))?;
        let sink = Sink::start(output).map_err(|error| failed(&error))?;
        let outlet = Outlet::new(Format::Lines(Box::new(Recorder::new(last))), sink);
        self.current = Some(Current { outlet, file: file.clone(), ends: false });
        Ok(file)
    }

    /// The next summary is the last.
    pub fn stop(&mut self) {
        if let Some(current) = &mut self.current {
            current.ends = true;
        }
    }

    /// Takes a drop.
    pub fn drop(&mut self, drop: &Drop<'_>) {
        if let Some(current) = &mut self.current {
            current.outlet.drop(drop);
        }
    }

    /// Takes an event of TCP's own.
    pub fn tcp(&mut self, event: &TcpEvent) {
        if let Some(current) = &mut self.current {
            current.outlet.tcp(event);
        }
    }

    /// Takes a summary; when it was the last, tells where it all is.
    pub fn summary(&mut self, summary: &Summary) -> Option<String> {
        let current = self.current.as_mut()?;
        current.outlet.summary(summary);
        if !current.ends {
            return None;
        }
        let Current { mut outlet, file, .. } = self.current.take()?;
        outlet.end(summary);
        // Room was there before the summary.
        let sent = outlet.send();
        self.before = Some(outlet);
        Some(match sent {
            Ok(()) => format!("recorded: netdrop report {file}"),
            Err(error) => format!("the recording into {file} is cut short: {error}"),
        })
    }

    /// The run ends.
    pub fn end(&mut self, summary: &Summary) {
        if let Some(current) = &mut self.current {
            current.outlet.end(summary);
        }
    }

    /// The recording under way.
    pub fn current(&self) -> Option<&Outlet> {
        self.current.as_ref().map(|current| &current.outlet)
    }

    /// Waits for room.
    ///
    /// # Errors
    /// When it can't be written any more, in words; it has ended then.
    pub async fn room(&mut self) -> Result<(), String> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let room = current.outlet.room().await;
        self.noted(room)
    }

    /// Hands over what waits.
    ///
    /// # Errors
    /// As [`Recordings::room`].
    pub fn send(&mut self) -> Result<(), String> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let sent = current.outlet.send();
        self.noted(sent)
    }

    /// Hands over what waits as soon as there is room.
    ///
    /// # Errors
    /// As [`Recordings::room`].
    pub async fn deliver(&mut self) -> Result<(), String> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let delivered = current.outlet.deliver().await;
        self.noted(delivered)
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn finish(&mut self) -> Result<(), SinkError> {
        let current = self.current.take().map(|current| current.outlet);
        let mut result = Ok(());
        for mut outlet in self.before.take().into_iter().chain(current) {
            let finished = outlet.finish().await;
            result = result.and(finished);
        }
        result
    }

    fn noted(&mut self, result: Result<(), SinkError>) -> Result<(), String> {
        result.map_err(|error| {
            let file = self.current.take().map_or(String::new(), |current| current.file);
            format!("the recording into {file} is cut short: {error}")
        })
    }
}

/// `netdrop-20261122-131530.jsonl`, where there is no such file yet.
fn free_name() -> String {
    let stem = jiff::Zoned::now().strftime("netdrop-%Y%m%d-%H%M%S").to_string();
    let names = (1..).map(|number| match number {
        1 => format!("{stem}.jsonl"),
        number => format!("{stem}-{number}.jsonl"),
    });
    let mut free = names.filter(|name| !Path::new(name).exists());
    free.next().expect("numbers don't end")
}
