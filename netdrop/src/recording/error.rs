//! Why a recording can't be read.

use std::io;

use thiserror::Error;

use crate::aggregate::By;

/// A line that can't be read.
#[derive(Debug, Error)]
pub enum LineError {
    /// Of a schema that came later.
    #[error(
        "the line is of schema version {0}, and this netdrop reads version 1: read it with the netdrop that wrote it, or a newer one"
    )]
    Version(u64),
    /// No JSON, or not of the schema.
    #[error("not a line of `netdrop watch --format json`: {0}")]
    Json(#[from] serde_json::Error),
    /// Without something that its kind must have.
    #[error("not a line of `netdrop watch --format json`: it has no `{0}`")]
    Missing(&'static str),
    /// With something that doesn't mean anything.
    #[error("not a line of `netdrop watch --format json`: `{member}` is {value:?}")]
    Value {
        /// Of which member.
        member: &'static str,
        /// What it says.
        value: String,
    },
}

/// A recording that can't be read.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// One of its lines.
    #[error("{file}:{line}: {error}")]
    Line {
        /// Whose.
        file: String,
        /// Its number, from 1.
        line: u64,
        /// Why.
        error: LineError,
    },
    /// A line longer than any that netdrop writes.
    #[error("{file}:{line}: a line of more than {} MB is no recording's", most >> 20)]
    TooLong {
        /// Whose.
        file: String,
        /// Its number, from 1.
        line: u64,
        /// How long one may be, in bytes.
        most: usize,
    },
    /// It can't be opened or read.
    #[error("cannot read {file}: {error}")]
    Read {
        /// What.
        file: String,
        /// Why not.
        error: io::Error,
    },
    /// Neither rows nor details tell drops apart so.
    #[error(
        "the recording can't tell drops apart by {0}: its rows are by other things, and it has no details of drops; \
         record with `--by {0}`, or without `--rate 0`"
    )]
    Untold(By),
}
