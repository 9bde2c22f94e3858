//! `netdrop tcp states`.

use clap::Args;

use super::shared::{Shared, Story, TcpFormat};
use crate::output::{Clock, Output, Redrawn, View};
use crate::tcp::Wanted;
use crate::tcp::states::{Table, Text};

/// Changes of state and the time spent in each; queues of listeners, TIME_WAIT, ports in use.
///
/// Changes are counted in the kernel, exactly; MEDIAN and MAX are bounds, at most twice the time. Queues of listeners and ports are sampled
/// with sock_diag, in netdrop's own network namespace or those of --netns: ACCEPT connections wait to be accepted, SYN are being opened.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
pub struct States {
    #[command(flatten)]
    shared: Shared,
}

impl Story for States {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The table is made of counts alone.
    fn wanted(&self) -> Wanted {
        let in_detail = self.format() != TcpFormat::Table || self.shared.count.is_some();
        Wanted { states: in_detail, closes: in_detail, transitions: true, queues: true, ..Wanted::default() }
    }

    fn table(&self, view: View) -> Box<dyn Redrawn> {
        Box::new(Table::new(view))
    }

    fn text(&self, color: bool) -> Box<dyn Output> {
        Box::new(Text::new(color, Clock::local()))
    }
}
