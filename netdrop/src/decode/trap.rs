//! What the program kept of a trap.

use crate::model::Trap;

/// The names of a trap (netdrop-common's `Trap`).
pub fn trap(kept: &netdrop_common::Trap) -> Trap {
    let (bus, device) = (text(&kept.bus), text(&kept.device));
    Trap {
        name: text(&kept.name),
        group: text(&kept.group),
        driver: text(&kept.driver),
        device: if device.is_empty() { device } else { format!("{bus}/{device}") },
    }
}

/// Up to the zero byte that ends it.
fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use netdrop_common::{TRAP_WORDS, is_trap, read_plain, site_of_trap};
    use proptest::prelude::*;

    use super::*;

    fn kept(name: &[u8], device: &[u8]) -> netdrop_common::Trap {
        let mut trap: netdrop_common::Trap = read_plain(&[0; TRAP_WORDS * 8]).unwrap();
        trap.name[..name.len()].copy_from_slice(name);
        trap.bus[..3].copy_from_slice(b"pci");
        trap.device[..device.len()].copy_from_slice(device);
        trap
    }

    #[test]
    fn names_end_where_the_kernels_end() {
        let known = trap(&kept(b"tail_drop", b"0000:01:00.0"));
        assert_eq!((&*known.name, &*known.device, &*known.group), ("tail_drop", "pci/0000:01:00.0", ""));
        let nameless = trap(&kept(&[b'x'; 40], b""));
        assert_eq!(
            (nameless.name.len(), &*nameless.device),
            (40, ""),
            "without a device its bus says nothing"
        );
    }

    proptest! {
        /// A trap's site is none of the kernel's code, and another's is another.
        #[test]
        fn sites_of_traps_differ(one in any::<[u64; TRAP_WORDS]>(), at in 0..TRAP_WORDS, bit in 0..64) {
            let mut other = one;
            other[at] ^= 1_u64 << bit;
            let site = site_of_trap(&one);
            prop_assert!(site != 0 && is_trap(site) && !is_trap(0xffff_ffff_8193_bb1c));
            prop_assert_ne!(site, site_of_trap(&other));
        }
    }
}
