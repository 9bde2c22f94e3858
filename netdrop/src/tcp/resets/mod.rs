//! `netdrop tcp resets`.

use crate::model::{Drop, Summary};
use crate::output::{Output, Redrawn, View};

/// The table for a terminal.
#[derive(Debug)]
pub struct Table {
    view: View,
}

impl Table {
    /// For a terminal of this size.
    pub fn new(view: View) -> Self {
        Self { view }
    }
}

impl Output for Table {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}
    fn summary(&mut self, _: &Summary, _: &mut Vec<u8>) {}
    fn end(&mut self, _: &Summary, _: &mut Vec<u8>) {}
}

impl Redrawn for Table {
    fn resize(&mut self, width: usize, height: usize, _: &mut Vec<u8>) {
        self.view = View { width, height, ..self.view };
    }
}

/// Lines for a pipe.
#[derive(Debug)]
pub struct Text {
    color: bool,
}

impl Text {
    /// With colour or without.
    pub fn new(color: bool) -> Self {
        Self { color }
    }
}

impl Output for Text {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {
        let _ = self.color;
    }
    fn summary(&mut self, _: &Summary, _: &mut Vec<u8>) {}
    fn end(&mut self, _: &Summary, _: &mut Vec<u8>) {}
}
