//! `netdrop tcp states`.

use clap::Args;

use super::shared::{Shared, Story};
use crate::output::{Output, Redrawn, View};
use crate::tcp::Wanted;
use crate::tcp::states::{Table, Text};

/// `netdrop tcp states`.
#[derive(Debug, Args)]
pub struct States {
    #[command(flatten)]
    shared: Shared,
}

impl Story for States {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn wanted(&self) -> Wanted {
        Wanted::default()
    }

    fn table(&self, view: View) -> Box<dyn Redrawn> {
        Box::new(Table::new(view))
    }

    fn text(&self, color: bool) -> Box<dyn Output> {
        Box::new(Text::new(color))
    }
}
