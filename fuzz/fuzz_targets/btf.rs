//! Any bytes as BTF, and every question that netdrop asks of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::kernel::btf::Btf;
use netdrop::kernel::btf::reduce::{Keep, reduce};
use netdrop::kernel::layout::{KfreeSkb, layout};
use netdrop::kernel::reasons::Reasons;

fuzz_target!(|bytes: &[u8]| {
    let Ok(btf) = Btf::parse(bytes) else { return };
    let _ = layout(&btf);
    let _ = KfreeSkb::from_btf(&btf);
    let _ = btf.bit_field("sk_buff", "vlan_present");
    if let Some(reasons) = Reasons::from_btf(&btf) {
        for (number, name) in reasons.iter() {
            assert_eq!(reasons.name(number), Some(name));
        }
    }
    // The same bytes as a module on top of themselves.
    if let Ok(module) = Btf::parse_split(bytes, &btf) {
        let _ = layout(&module);
        let _ = module.enums_ending_with("_drop_reason");
    }
    let _ = Keep::with_netdrops_own(|keep| reduce(bytes, keep));
});
