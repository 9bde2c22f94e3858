//! The network card's rings.

mod memory;
mod overrun;

use super::{Check, Part, Place, Unread};

pub const CHECKS: &[Check] = &[overrun::CHECK, memory::CHECK];

/// The memory that the kernel keeps free for those that can't wait, in KiB: `vm.min_free_kbytes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptFree(pub u64);

impl Part for KeptFree {
    const FROM: &'static str = "/proc/sys/vm/min_free_kbytes";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let text = place.text(Self::FROM)?;
        text.trim()
            .parse()
            .map(Self)
            .map_err(|_| Unread::new(Self::FROM, format!("`{}` is no number", text.trim())))
    }
}
