//! Events as CSV (RFC 4180): a header that never changes, then a line an event; what isn't known is empty. Times are UTC.

use crate::model::tcp::TcpEvent;
use crate::model::{Drop, Summary};
use crate::output::csv::record;
use crate::output::{Clock, Output};

/// The fields of an event, as many as there are names; nothing for one that has no line.
type Fields = fn(&TcpEvent, &mut Clock) -> Option<Vec<String>>;

/// The CSV format of a subcommand.
#[derive(Debug)]
pub struct Csv {
    names: Vec<&'static str>,
    fields: Fields,
    clock: Clock,
    headed: bool,
}

impl Csv {
    pub(super) fn new(names: Vec<&'static str>, fields: Fields) -> Self {
        Self { names, fields, clock: Clock::utc(), headed: false }
    }

    fn head(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.headed, true) {
            record(&self.names, out);
        }
    }
}

impl Output for Csv {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        if let Some(fields) = (self.fields)(event, &mut self.clock) {
            self.head(out);
            record(fields, out);
        }
    }

    fn summary(&mut self, _: &Summary, out: &mut Vec<u8>) {
        self.head(out);
    }

    fn end(&mut self, _: &Summary, out: &mut Vec<u8>) {
        self.head(out);
    }
}
