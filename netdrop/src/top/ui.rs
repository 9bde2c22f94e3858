//! What the user has chosen: pane, order, filter, selection.

use super::data::Data;
use super::entry::Entry;
use super::pane::Pane;

use crate::order::InOrder as _;

/// What the rows are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Drops a second, the most first.
    #[default]
    Rate,
    /// Drops since the start, the most first.
    Total,
    /// The first column of text.
    Name,
}

impl Sort {
    /// The next one that `s` turns to.
    pub const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Total,
            Self::Total => Self::Name,
            Self::Name => Self::Rate,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Total => "total",
            Self::Name => "name",
        }
    }
}

/// A site that is looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The key of its entry in the pane of sites.
    pub key: String,
    /// Lines that are scrolled away.
    pub scroll: usize,
}

/// What the user has chosen.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is so or not, whatever the others are")]
pub struct Ui {
    /// The pane that keys go to.
    pub pane: Pane,
    /// What the rows are ordered by.
    pub sort: Sort,
    /// What rows must have in them; empty: all.
    pub filter: String,
    /// Whether the filter is being typed.
    pub typing: bool,
    /// Whether drops of the class lifecycle are shown.
    pub lifecycle: bool,
    /// The site that is looked into.
    pub opened: Option<Opened>,
    /// Whether the help is shown.
    pub help: bool,
    /// Whether TCP is followed: then it has a pane.
    pub tcp: bool,
    /// The selected entry of each pane; the first where none is.
    selected: [Option<String>; Pane::ALL.len()],
}

impl Default for Ui {
    fn default() -> Self {
        Self {
            pane: Pane::Sites,
            sort: Sort::default(),
            filter: String::new(),
            typing: false,
            lifecycle: false,
            opened: None,
            help: false,
            tcp: false,
            selected: Default::default(),
        }
    }
}

impl Ui {
    /// The rows of a pane that the filter lets through, in order.
    pub fn visible<'d>(&self, data: &'d Data, pane: Pane) -> Vec<&'d Entry> {
        let wanted = self.filter.to_lowercase();
        let mut entries: Vec<_> =
            data.entries(pane).iter().filter(|entry| entry.words.contains(&wanted)).collect();
        match self.sort {
            Sort::Rate => sort(&mut entries, |entry| entry.interval.packets),
            Sort::Total => sort(&mut entries, |entry| entry.total.packets),
            Sort::Name => {
                entries.order_by(|one, other| (&one.cells, &one.key).cmp(&(&other.cells, &other.key)));
            }
        }
        entries
    }

    /// The place of the selected entry among the visible ones.
    pub fn selection(&self, entries: &[&Entry], pane: Pane) -> usize {
        let selected = self.selected[pane.index()].as_deref();
        selected.and_then(|key| entries.iter().position(|entry| entry.key == key)).unwrap_or(0)
    }

    /// Selects an entry of a pane; none: whichever is the first.
    pub fn select(&mut self, pane: Pane, entry: Option<&Entry>) {
        self.selected[pane.index()] = entry.map(|entry| entry.key.clone());
    }

    /// Moves the selection by so many rows, as far as there are any.
    pub fn step(&mut self, data: &Data, by: isize) {
        let entries = self.visible(data, self.pane);
        let place = self.selection(&entries, self.pane).saturating_add_signed(by);
        let entry = entries.get(place.min(entries.len().saturating_sub(1))).copied();
        // At the top it stays with whatever is the first.
        let entry = entry.filter(|_| place > 0);
        self.select(self.pane, entry);
    }

    /// Looks into the selected entry: a site is opened; of what isn't one, the sites are shown that have to do with it.
    pub fn open(&mut self, data: &Data) {
        let entries = self.visible(data, self.pane);
        let Some(entry) = entries.get(self.selection(&entries, self.pane)) else { return };
        match self.pane {
            Pane::Sites | Pane::Flows | Pane::Owners if !entry.other => {
                self.opened = Some(Opened { key: entry.site_key.clone(), scroll: 0 });
            }
            Pane::Reasons | Pane::Devices | Pane::Namespaces if entry.cells[0] != "-" => {
                self.filter = entry.cells[0].clone();
                self.pane = Pane::Sites;
                self.select(Pane::Sites, None);
            }
            _ => {}
        }
    }
}

/// The most first; what sums all others last; equals by their totals, and always in the same order.
fn sort(entries: &mut [&Entry], count: impl Fn(&Entry) -> u64) {
    entries.order_by(|one, other| {
        let counts = |entry: &Entry| (count(entry), entry.total.packets);
        one.other.cmp(&other.other).then(counts(other).cmp(&counts(one))).then(one.key.cmp(&other.key))
    });
}
