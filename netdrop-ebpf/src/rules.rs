//! The filter's rules, as all programs go through them.

use aya_ebpf::{macros::map, maps::HashMap};
use netdrop_common::{AddressRule, MAX_RULES, OwnerKey, PortRule, Rule, SIDE_DESTINATION, SIDE_SOURCE};

use crate::packet::{Addresses, Ports};

/// What `--container` and `--owner` name, with the groups that it matches. User space sets the size, likewise.
#[map]
static OWNERS: HashMap<OwnerKey, u32> = HashMap::with_max_entries(1, 0);

/// Goes through the rules of one kind. The last expression of `$matches` says whether the rule matches.
macro_rules! each_rule {
    ($matched:ident, $count:ident, $rules:ident: $type:ty, |$rule:ident| $matches:expr) => {
        let count = $crate::constants::rules!($count);
        if count != 0 {
            for index in 0..netdrop_common::MAX_RULES {
                if index as u32 >= count {
                    break;
                }
                // SAFETY: the index is below the array's length.
                let $rule: netdrop_common::Rule<$type> =
                    unsafe { $crate::rules::read_rule(&raw const $crate::constants::FILTER.$rules, index) };
                if $matches {
                    if $rule.group == netdrop_common::group::EXCLUDE {
                        return false;
                    }
                    $matched |= $rule.group;
                }
            }
        }
    };
}
pub(crate) use each_rule;

#[inline(always)]
pub unsafe fn read_rule<T: Copy>(rules: *const [Rule<T>; MAX_RULES], index: usize) -> Rule<T> {
    unsafe { rules.cast::<Rule<T>>().add(index).read_volatile() }
}

/// The groups that what has this number matches, or the bit that it is left out.
#[inline(always)]
pub unsafe fn of_owner(id: u64, kind: u32) -> u32 {
    let key = OwnerKey { id, kind: kind.into() };
    unsafe { OWNERS.get(key) }.copied().unwrap_or(0)
}

#[inline(always)]
pub fn is_address(packet: &Addresses, rule: &Rule<AddressRule>) -> bool {
    let prefix = &rule.matches;
    (rule.side & SIDE_SOURCE != 0 && within(&packet.source, prefix))
        || (rule.side & SIDE_DESTINATION != 0 && within(&packet.destination, prefix))
}

#[inline(always)]
fn within(address: &[u32; 4], prefix: &AddressRule) -> bool {
    let differs = |word: usize| (address[word] & prefix.mask[word]) ^ prefix.address[word];
    differs(0) | differs(1) | differs(2) | differs(3) == 0
}

#[inline(always)]
pub fn is_port(ports: &Ports, rule: &Rule<PortRule>) -> bool {
    let range = rule.matches;
    (rule.side & SIDE_SOURCE != 0 && range.first <= ports.source && ports.source <= range.last)
        || (rule.side & SIDE_DESTINATION != 0
            && range.first <= ports.destination
            && ports.destination <= range.last)
}
