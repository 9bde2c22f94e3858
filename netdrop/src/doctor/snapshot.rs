//! Everything that was read at one moment in one network namespace.

use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::concurrently::concurrently;

/// Something that is read as a whole: a file, the answers to a question by netlink. Checks get two of it, or that of the end.
pub trait Part: Any + Send + Sync + Default {
    /// Where it is read, for people: `/proc/net/softnet_stat`.
    const FROM: &'static str;
    /// Whether checks ask for it as it stands at the end of a window alone: then it isn't read at its start.
    const AT_END: bool = false;

    /// Reads it in the calling thread's network namespace.
    ///
    /// # Errors
    /// When it isn't there, may not be read or has another form.
    fn read(place: &Place) -> Result<Self, Unread>;
}

/// Why something couldn't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{from}: {why}")]
pub struct Unread {
    /// What was to be read.
    pub from: String,
    /// Why it couldn't be, and what would help.
    pub why: String,
}

impl Unread {
    /// An answer that netdrop doesn't understand, or one that is missing.
    pub fn new(from: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { from: from.into(), why: why.to_string() }
    }

    /// The system's refusal, with what would help.
    pub fn io(from: impl Into<String>, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "this kernel or this namespace doesn't have it".into(),
            io::ErrorKind::PermissionDenied => format!("{error}; root may read it"),
            _ => error.to_string(),
        };
        Self { from: from.into(), why }
    }
}

/// Where files are read: below `/` outside tests.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// Below this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// `name` in `/proc/net`, of the calling thread's network namespace: `/proc/net` itself is of the process's first thread.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn net(&self, name: &str) -> Result<String, Unread> {
        text(&self.root.join("proc/thread-self/net").join(name), &format!("/proc/net/{name}"))
    }

    /// A file of `/proc`, `/sys` or elsewhere.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn text(&self, path: &str) -> Result<String, Unread> {
        text(&self.path(path), path)
    }

    /// The path below the root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

fn text(path: &Path, name: &str) -> Result<String, Unread> {
    let bytes = fs::read(path).map_err(|error| Unread::io(name, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A [`Part`] that a check needs: see [`source`].
#[derive(Debug, Clone, Copy)]
pub struct Source {
    id: fn() -> TypeId,
    read: fn(&Place) -> Reading,
    zero: fn() -> Box<dyn Any + Send + Sync>,
    at_end: bool,
}

impl Source {
    /// Whether it is read at the start of a window, too.
    pub fn is_of_both_ends(&self) -> bool {
        !self.at_end
    }
}

type Reading = Result<Box<dyn Any + Send + Sync>, Unread>;

/// That part, for [`Check::needs`](super::Check).
pub const fn source<P: Part>() -> Source {
    Source {
        id: TypeId::of::<P>,
        read: |place| P::read(place).map(|part| Box::new(part) as Box<dyn Any + Send + Sync>),
        zero: || Box::new(P::default()),
        at_end: P::AT_END,
    }
}

/// What was read at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    parts: HashMap<TypeId, Reading>,
}

impl Snapshot {
    /// Reads each of these parts once, up to so many at a time: some wait for a device or for many answers, and need not wait for each other.
    pub fn read(sources: impl IntoIterator<Item = Source>, place: &Place, at_a_time: usize) -> Self {
        let mut known = HashSet::new();
        let due: Vec<_> = sources.into_iter().filter(|source| known.insert((source.id)())).collect();
        let parts = concurrently(&due, at_a_time, |source| ((source.id)(), (source.read)(place)));
        Self { parts: parts.into_iter().collect() }
    }

    /// As it was at the boot: nothing had been counted.
    pub fn at_boot(sources: impl IntoIterator<Item = Source>) -> Self {
        let parts = sources.into_iter().map(|source| ((source.id)(), Ok((source.zero)())));
        Self { parts: parts.collect() }
    }

    /// None of these parts could be read, for one reason.
    pub fn unread(sources: impl IntoIterator<Item = Source>, why: &Unread) -> Self {
        Self { parts: sources.into_iter().map(|source| ((source.id)(), Err(why.clone()))).collect() }
    }

    /// A part, or why it couldn't be read.
    ///
    /// # Errors
    /// Those of its reading; a part that the check doesn't name among its needs wasn't read.
    pub fn get<P: Part>(&self) -> Result<&P, Unread> {
        let not_read = || Unread::new(P::FROM, "it wasn't read: the check doesn't need it");
        let reading = self.parts.get(&TypeId::of::<P>()).ok_or_else(not_read)?;
        let part = reading.as_ref().map_err(Clone::clone)?;
        part.downcast_ref().ok_or_else(not_read)
    }

    /// With this part too.
    #[cfg(test)]
    pub fn put<P: Part>(&mut self, part: Result<P, Unread>) {
        let part = part.map(|part| Box::new(part) as Box<dyn Any + Send + Sync>);
        self.parts.insert(TypeId::of::<P>(), part);
    }
}
