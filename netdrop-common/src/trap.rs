//! Traps: what the hardware of a switch or a network card drops, and tells its driver of (devlink-trap).

/// Trap names that the program keeps.
pub const TRAPS: u32 = 256;

/// What a packet was trapped by, in the kernel's own words: each ends in a zero, longer ones are cut.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trap {
    /// `devlink_trap.name`.
    pub name: [u8; 40],
    /// `devlink_trap_group.name`.
    pub group: [u8; 24],
    /// `device_driver.name`.
    pub driver: [u8; 24],
    /// `bus_type.name`.
    pub bus: [u8; 16],
    /// `device.kobj.name`.
    pub device: [u8; 32],
}

/// Words of a [`Trap`].
pub const TRAP_WORDS: usize = size_of::<Trap>() / size_of::<u64>();

/// Set in the address of all code of the kernel, and in no trap's [`CounterKey::site`](crate::CounterKey::site).
const CODE: u64 = 1 << 63;

/// The site of a trap: a hash of what it is (FNV-1a over words), so that its name is the same site wherever it lies in memory, and
/// another's that comes to lie there is another. Never 0, and never an address of code.
#[inline]
pub fn site_of_trap(words: &[u64; TRAP_WORDS]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = BASIS;
    let mut index = 0;
    while index < TRAP_WORDS {
        hash = (hash ^ words[index]).wrapping_mul(PRIME);
        // The product's upper bits are the good ones.
        hash ^= hash >> 32;
        index += 1;
    }
    (hash & !CODE) | 1
}

/// Whether a site is a trap's, and no place in the kernel's code.
#[inline]
pub const fn is_trap(site: u64) -> bool {
    site & CODE == 0
}
